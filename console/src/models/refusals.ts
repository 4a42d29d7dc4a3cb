/** What to do about a model that the fabric refuses, by the reason that it gives. */
import { Problem } from "../api/problem";

export interface Advice {
  words: string;
  /** Python to copy. */
  code?: string;
}

const ADVICE: Record<string, Advice> = {
  external_data: {
    words:
      "Its weights lie in other files beside it. Drop the .onnx file and those files together and they are joined here, or join them in Python:",
    code: 'import onnx\nonnx.save(onnx.load("model.onnx"), "whole.onnx", save_as_external_data=False)',
  },
  custom_operator: {
    words:
      "Some of its steps are not part of the ONNX standard, so they run only where it was made. Export it again without them: steps that prepare texts or lists, for instance, can be done before, and the model given their numbers.",
  },
  control_flow: {
    words: "Export it by tracing, so that loops and branches are written out; torch.onnx.export does so by default.",
  },
  truncated: {
    words: "Part of the file is missing. Copy or download it again, and compare its size with the original.",
  },
  malformed: {
    words: "Check the file where it was made, and export it again if this fails there too:",
    code: 'import onnx\nonnx.checker.check_model("model.onnx", full_check=True)',
  },
  not_onnx: {
    words:
      "Models of PyTorch, TensorFlow, Keras or scikit-learn must be exported first: torch.onnx.export, tf2onnx, skl2onnx.to_onnx.",
  },
  cannot_run: {
    words:
      "It was given random inputs of the types and shapes that it declares. Declare the shapes that it really takes, and let it bear unusual values.",
  },
  too_slow: {
    words: "A smaller batch or a smaller model may pass; an item may take no more than admission waits for.",
  },
  too_large: { words: "A quantised or half-precision copy of it may pass." },
};
const ZIPMAP: Advice = {
  words: "Its probabilities are a list of dictionaries, which only scikit-learn reads. Export it with plain numbers:",
  code: 'from skl2onnx import to_onnx\nonx = to_onnx(model, X[:1], options={"zipmap": False})\nopen("model.onnx", "wb").write(onx.SerializeToString())',
};

const CATEGORIES: Advice = {
  words: "It fails on a category that it does not know, as any typing mistake would make it fail. Let it ignore those:",
  code: 'OneHotEncoder(handle_unknown="ignore")',
};

const WORDS_CUT: Advice = {
  words:
    "It cuts texts into words by a step outside the ONNX standard. Export only what comes after it, and give the model the numbers that the vectoriser makes:",
  code: 'from skl2onnx import to_onnx\nrows = pipeline[:-1].transform(texts).toarray().astype("float32")\nonx = to_onnx(pipeline[-1], rows[:1], options={"zipmap": False})\nopen("model.onnx", "wb").write(onx.SerializeToString())\nnumpy.save("texts.npy", rows)',
};

export function adviceFor(error: unknown): Advice | null {
  if (!(error instanceof Problem)) return null;
  if (error.status === 413) return { words: "Half precision or quantised weights make the file smaller." };
  if (error.message.includes("zipmap")) return ZIPMAP;
  if (/Tokenizer|StringNormalizer/.test(error.message)) return WORDS_CUT;
  if (error.message.includes("Unknown Category")) return CATEGORIES;
  return ADVICE[String(error.fields.reason)] ?? null;
}
