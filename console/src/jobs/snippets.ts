/** The same job as code to copy. */
import type { Kind } from "./counting";
import type { Request } from "./request";

export interface Snippets {
  python: string;
  curl: string;
  cli: string;
}

/** What stands for inputs of each kind: an import, the Python, and the words of a command line. */
const GIVEN: Record<Kind, [string, string, string]> = {
  tensor: ["import numpy as np", 'np.load("inputs.npy")', "inputs.npy"],
  text: ["import numpy as np", 'np.array(["one text", "another"])', "texts.txt"],
  image: ["from pathlib import Path", 'sorted(Path("images").glob("*.png"))', "images/*.png"],
  audio: ["from pathlib import Path", 'sorted(Path("sounds").glob("*.wav"))', "sounds/*.wav"],
  video: ["from pathlib import Path", 'sorted(Path("videos").glob("*.mp4"))', "videos/*.mp4"],
};

/** For a job that is about to be submitted; what comes from files stands there as a name. */
export function submitSnippets(origin: string, request: Request, kind: Kind): Snippets {
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
    request.labels && Object.keys(request.labels).length > 0 && `labels=${python(request.labels)}`,
  ].filter(Boolean);
  const tail = options.length ? `,\n    ${options.join(", ")},\n` : "";
  const [needs, inputs, words] = GIVEN[kind];
  const cliOptions = [
    request.budget_usd && ` --budget-usd ${request.budget_usd}`,
    request.deadline_s && ` --deadline-s ${request.deadline_s}`,
  ]
    .filter(Boolean)
    .join("");
  return {
    python: `${needs}\nfrom fabric import Client\n\nclient = Client("${origin}", "YOUR_API_KEY")\njob = client.submit("${model}", ${inputs}${tail})\nresults = job.wait().results()\nprint({name: array.shape for name, array in results.items()})`,
    curl: `curl -s "${origin}/api/v1/jobs" \\\n  -H "Authorization: Bearer $FABRIC_API_KEY" \\\n  -H "Content-Type: application/json" \\\n  -H "Idempotency-Key: $(uuidgen)" \\\n  -d '${JSON.stringify(request, null, 2).replaceAll("'", "'\\''")}'`,
    cli: `export FABRIC_URL=${origin} FABRIC_API_KEY=YOUR_API_KEY\nfabric jobs submit ${model} ${words}${cliOptions} --output results.npz`,
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

/** A request short enough to copy: long lists of files and large tensors become a sign of what stood there. */
export function shortened(request: Partial<Request>, model: string): Request {
  const inputs = (request.inputs ?? []).map((input) => ({
    ...input,
    ...((input.files?.length ?? 0) > 3 && { files: [...(input.files ?? []).slice(0, 2), "…"] }),
    ...(JSON.stringify(input.tensor ?? null).length > 400 &&
      input.tensor && { tensor: { ...input.tensor, data: ["…"] } }),
  }));
  return { ...request, model: request.model ?? model, inputs } as Request;
}

function python(value: unknown): string {
  return JSON.stringify(value)
    .replaceAll("true", "True")
    .replaceAll("false", "False")
    .replaceAll(":", ": ")
    .replaceAll(",", ", ");
}
