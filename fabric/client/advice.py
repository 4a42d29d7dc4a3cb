"""What to do about it: a sentence for each refusal, failure and wait that a person can do something about."""

from collections.abc import Mapping

ADVICE: Mapping[str, str] = {
    "unauthenticated": "Give Client(api_key=…) or set FABRIC_API_KEY; `fabric up` prints a key, and client.keys.create() makes others.",
    "credential_expired": "Make a new API key with client.keys.create(), or log in again.",
    "second_factor_needed": "Give code=… too: six digits of the authenticator app, or a recovery code.",
    "forbidden": "This key may lack a scope; client.keys.list() says what yours may do, and client.keys.create(scopes=[…]) makes one.",
    "insufficient_funds": "client.wallet.top_up('5'), or submit with a lower budget_usd; client.quote(…) says what it would cost.",
    "spending_limit": "client.wallet.limits() shows your limits; client.wallet.set_limits(day_usd=…, job_usd=…) changes them.",
    "wallet_frozen": "Running jobs go on. Ask the operator of this fabric.",
    "invalid_input": "client.models.get(name) shows what the model takes; client.dry_run(…) checks inputs and charges nothing.",
    "empty_job": "Axis 0 counts the items; give at least one.",
    "ragged": "Use job.results() or job.outcomes(), which take outputs of any shape.",
    "not_found": "client.jobs.list(), client.models.list() and client.files.list() show what this key can see.",
    "results_deleted": "client.jobs.rerun(job_id) does the work again; results_days=… keeps results for longer.",
    "quote_mismatch": "Ask for a quote with the same model, inputs and options, or submit without quote=….",
    "quote_expired": "Ask for another one: client.quote(…).",
    "quote_used": "A quote is good for one job; ask for another one: client.quote(…).",
    "idempotency_mismatch": "Use another idempotency_key for other work.",
    "already_finished": "job.refresh() shows how it ended; job.retry() and client.jobs.rerun(job_id) do it again.",
    "too_large": "Submit in several jobs, or let client.map(…) do that.",
    "unsupported_media": "docs/codecs.md lists what each kind of input takes.",
    "rate_limited": "The client has slowed down and tried again already; send fewer requests at a time.",
    "not_onboarded": "client.wallet.onboarding_url(…) gives the page where what is missing can be told.",
    "unavailable": "It was tried again already; try later. Nothing was charged.",
    "fleet_unavailable": "No machine answers now; jobs wait until one does: client.submit(…).",
}
"""By public error code."""

JOB_ADVICE: Mapping[str, str] = {
    "deadline_exceeded": "job.retry(deadline_s=…) does what is missing with more time; job.timeline() shows where it went.",
    "budget_exhausted": "job.retry(budget_usd=…) does what is missing; what was done is kept and can be fetched.",
    "attempts_exhausted": "job.subtasks() shows each attempt and why it failed; job.retry() tries what is missing once more.",
}
"""By the error code of a job."""

JOB_ADVICE_ELSE = "job.subtasks() shows each attempt; what was done is kept, and job.retry() does what is missing."

WAITING: Mapping[str, str] = {
    "no_capacity": "no machine on offer fits what the job asks for (client.market.offers() lists them)",
    "slot_memory": "the model needs more memory than the free slots have",
    "price_below_market": "every free slot asks for more than max_price_usd_per_hour",
    "model_loading": "a machine is fetching the model",
    "funds": "its budget is used up: job.add_budget('1') lets it go on",
    "provider_failing": "machines failed at it and it is tried elsewhere (job.subtasks() shows each attempt)",
}
"""By waiting reason."""
