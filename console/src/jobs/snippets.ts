/** The same job as code to copy. */
import type { Request } from "./remembered";

export interface Snippets {
  python: string;
  curl: string;
  cli: string;
}

/** For a job that is about to be submitted; what comes from files stands there as a name. */
export function submitSnippets(origin: string, request: Request, inputsAre: "images" | "arrays"): Snippets {
  const { model } = request;
  const options = [
    request.budget_usd && `budget_usd="${request.budget_usd}"`,
    request.max_price_usd_per_hour && `max_price_usd_per_hour="${request.max_price_usd_per_hour}"`,
    request.deadline_s && `deadline_s=${request.deadline_s}`,
    request.priority && request.priority !== "normal" && `priority="${request.priority}"`,
    request.own_machines && "own_machines=True",
    request.requirements &&
      Object.keys(request.requirements).length > 0 &&
      `requirements=${python(request.requirements)}`,
  ].filter(Boolean);
  const tail = options.length ? `,\n    ${options.join(", ")},\n` : "";
  const inputs = inputsAre === "images" ? 'sorted(Path("images").glob("*.png"))' : 'np.load("inputs.npy")';
  const needs = inputsAre === "images" ? "from pathlib import Path\n" : "import numpy as np\n";
  const cliOptions = [
    request.budget_usd && ` --budget-usd ${request.budget_usd}`,
    request.deadline_s && ` --deadline-s ${request.deadline_s}`,
  ]
    .filter(Boolean)
    .join("");
  return {
    python: `${needs}from fabric import Client\n\nclient = Client("${origin}", "YOUR_API_KEY")\njob = client.submit("${model}", ${inputs}${tail})\nresults = job.wait().results()\nprint({name: array.shape for name, array in results.items()})`,
    curl: `curl -s "${origin}/api/v1/jobs" \\\n  -H "Authorization: Bearer $FABRIC_API_KEY" \\\n  -H "Content-Type: application/json" \\\n  -H "Idempotency-Key: $(uuidgen)" \\\n  -d '${JSON.stringify(request, null, 2).replaceAll("'", "'\\''")}'`,
    cli: `export FABRIC_URL=${origin} FABRIC_API_KEY=YOUR_API_KEY\nfabric jobs submit ${model} ${inputsAre === "images" ? "images/*.png" : "inputs.npy"}${cliOptions} --output results.npz`,
  };
}

/** For a job that exists. */
export function jobSnippets(origin: string, id: string, output: string): Snippets {
  return {
    python: `from fabric import Client\n\njob = Client("${origin}", "YOUR_API_KEY").job("${id}")\nresults = job.wait().results()  # NumPy, in input order\nprint(results["${output}"])`,
    curl: `curl -s "${origin}/api/v1/jobs/${id}/results/${encodeURIComponent(output)}" \\\n  -H "Authorization: Bearer $FABRIC_API_KEY" -o ${output.replace(/\W+/g, "_")}.npy`,
    cli: `export FABRIC_URL=${origin} FABRIC_API_KEY=YOUR_API_KEY\nfabric jobs results ${id} results.npz`,
  };
}

function python(value: unknown): string {
  return JSON.stringify(value)
    .replaceAll("true", "True")
    .replaceAll("false", "False")
    .replaceAll(":", ": ")
    .replaceAll(",", ", ");
}
