/** What jobs of a model give back, in one line. */
import type { Schemas } from "../api/client";
import { shapeText } from "./shape";

export function Gives({ model }: { model: Schemas["ModelOut"] }) {
  const results: Record<string, Schemas["ResultOut"]> =
    Object.keys(model.results).length > 0 ? model.results : model.outputs;
  return (
    <p className="small soft">
      It gives back{" "}
      {Object.entries(results).map(([name, result], place) => (
        <span key={name}>
          {place > 0 && ", "}
          <strong>{name}</strong> {result.media_type ?? shapeText(result)}
        </span>
      ))}
      .
    </p>
  );
}
