/** What an input is, said where files are given: pictures or sounds instead of numbers, in one press, and changed as easily. */
import { useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Schemas } from "../api/client";
import { model as modelQuery } from "../api/queries";
import { type Given, type Media, NOUNS } from "../jobs/counting";
import type { Draft } from "../jobs/drafts";
import { Failure } from "../ui/small";
import { toast } from "../ui/toasts";
import { cardOf, formOf, type InputForm } from "./card";
import { withCard } from "./drop-model";
import { guessOf, isTokens, pictureForm, soundForm, videoForm } from "./guess";
import { formWords, PictureForm, SoundForm } from "./picture-form";

type Model = Schemas["ModelOut"];

export function ReadAs({
  model,
  given,
  draft,
  onChanged,
}: {
  model: Model;
  given: Given;
  draft: Draft;
  onChanged: (made: Model) => void;
}) {
  const [declined, setDeclined] = useState(false);
  const [changing, setChanging] = useState(false);
  const { name, tensor, kind } = given;
  const mine = model.own && model.visibility === "private";
  if (kind === "tensor") {
    const form = draft.media ? formFor(draft.media, given) : guessOf(name, tensor);
    if (draft.media && (!mine || !form)) return <NotHere model={model} media={draft.media} mine={mine} />;
    const untouched = draft.files.length === 0 && !draft.typed && !draft.kept;
    if (mine && untouched && isTokens(name, tensor))
      return (
        <p className="small soft">
          These look like the numbers of words. To give texts, upload the model again together with its tokenizer.json.
        </p>
      );
    if (!mine || !form || (!draft.media && (declined || !untouched))) return null;
    return (
      <Declare
        key={draft.media}
        model={model}
        name={name}
        first={form}
        dropped={draft.media !== null}
        onDone={onChanged}
        onLeave={draft.media ? null : () => setDeclined(true)}
      />
    );
  }
  if (!mine || kind === "text") return null;
  const now = formOf(model, name);
  if (changing)
    return (
      <Declare
        model={model}
        name={name}
        first={now}
        onDone={(made) => {
          setChanging(false);
          onChanged(made);
        }}
        onLeave={() => setChanging(false)}
        again
      />
    );
  return (
    <p className="small soft">
      Read as {NOUNS[kind]}: {formWords(now)}.{" "}
      <button type="button" className="link" onClick={() => setChanging(true)}>
        Change
      </button>
    </p>
  );
}

function formFor(media: Media, { tensor }: Given): InputForm | null {
  return { image: pictureForm, audio: soundForm, video: videoForm }[media](tensor);
}

/** Where an input cannot be declared in one press: why, and where it can. */
function NotHere({ model, media, mine }: { model: Model; media: Media; mine: boolean }) {
  if (!model.own)
    return (
      <p className="small soft">The model belongs to somebody else, who says how its inputs are read; give numbers.</p>
    );
  return (
    <p className="small soft">
      {mine
        ? `How ${NOUNS[media]} would become an input of this shape cannot be guessed. If they can, its whole card says how, on `
        : `How the inputs of a published model are read is changed on `}
      <Link to="/models/$reference" params={{ reference: model.name }}>
        the model’s page
      </Link>
      .
    </p>
  );
}

function Declare({
  model,
  name,
  first,
  dropped = false,
  again = false,
  onDone,
  onLeave,
}: {
  model: Model;
  name: string;
  first: InputForm;
  dropped?: boolean;
  again?: boolean;
  onDone: (made: Model) => void;
  onLeave: (() => void) | null;
}) {
  const client = useQueryClient();
  const [form, setForm] = useState(first);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const nouns = NOUNS[form.codec];
  const dtype = model.inputs[name]?.dtype ?? "float32";
  const say = async (said: InputForm) => {
    setBusy(true);
    setError(null);
    try {
      const made = await withCard(
        model.name,
        cardOf(model.description, { [name]: said }, {}, model.card),
        model.version,
      );
      client.setQueryData(modelQuery(made.name).queryKey, made);
      void client.invalidateQueries({ queryKey: ["models"] });
      toast(
        said.codec === "tensor"
          ? `${name} takes numbers again.`
          : `${name} takes ${nouns} now: version ${made.version} of ${made.name}.`,
      );
      onDone(made);
    } catch (reason) {
      setError(reason);
    }
    setBusy(false);
  };
  return (
    <div className="notice offer">
      {!again && (
        <p>
          {dropped ? `These are ${nouns}, and this input takes numbers. Shall they be read as ` : "This looks like "}
          <strong>{nouns}</strong>
          {dropped ? "?" : "."} <span className="soft">{formWords(form)}</span>
        </p>
      )}
      <details open={again}>
        <summary className="small">{again ? `How ${nouns} become this input` : "Change these settings"}</summary>
        <div className="stack settings">
          {form.codec === "audio" ? (
            <SoundForm form={form} onChange={(part) => setForm({ ...form, ...part })} />
          ) : (
            <PictureForm form={form} dtype={dtype} onChange={(part) => setForm({ ...form, ...part })} />
          )}
        </div>
      </details>
      {error !== null && <Failure error={error} />}
      <div className="row">
        <button type="button" className="button primary small" disabled={busy} onClick={() => void say(form)}>
          {busy ? "Measuring it again …" : again ? "Use these" : `Treat files as ${nouns}`}
        </button>
        {again && (
          <button
            type="button"
            className="button small"
            disabled={busy}
            onClick={() => void say({ ...form, codec: "tensor" })}
          >
            Numbers as they are
          </button>
        )}
        {onLeave && (
          <button type="button" className="button quiet small" disabled={busy} onClick={onLeave}>
            {again ? "Leave it" : "No, give numbers"}
          </button>
        )}
      </div>
    </div>
  );
}
