"""The allow-list of operators, for each domain: what a model may consist of.

Left out of the standard: what decodes pictures (decoders have a sandbox of their own), what makes strings of strings (a text
is taken apart before the model, by a tokenizer) and optional values (only control flow needs them).
"""

from typing import Any

import onnx

OPSET_MAX = 1000
DOMAINS = {"": "", "ai.onnx": "", "ai.onnx.ml": "ai.onnx.ml"}  # as written -> as onnx knows it
RESERVED = ("ai.onnx", "com.microsoft", "com.ms.", "org.pytorch")
"""Domains in which ONNX Runtime has operators of its own: a function of that name in the file might not be what runs."""
CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})
"""Only where the operator of this fabric enabled them (FABRIC_LIMITS_MODEL_CONTROL_FLOW)."""
_STANDARD = """
    Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization Bernoulli
    BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike CausalConvWithState Ceil Celu
    CenterCropPad Clip Col2Im Compress Concat ConcatFromSequence Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh
    CumProd CumSum DFT DeformConv DepthToSpace DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp
    Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater
    GreaterOrEqual GridSample GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity
    InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual LinearAttention Log LogSoftmax
    LpNormalization LpPool MatMul MatMulInteger Max MaxPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min
    Mish Mod Mul Multinomial Neg NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot Or PRelu Pad Pow QLinearConv
    QLinearMatMul QuantizeLinear RMSNormalization RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal
    ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape
    Resize ReverseSequence RoiAlign RotaryEmbedding Round STFT Scatter ScatterElements ScatterND Selu SequenceAt SequenceConstruct
    SequenceEmpty SequenceErase SequenceInsert SequenceLength Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax
    SoftmaxCrossEntropyLoss Softplus Softsign SpaceToDepth Split SplitToSequence Sqrt Squeeze Sub Sum SwiGLU Swish Tan Tanh
    TensorScatter TfIdfVectorizer ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor
    """
_CLASSICAL = """
    ArrayFeatureExtractor Binarizer CastMap CategoryMapper DictVectorizer FeatureVectorizer Imputer LabelEncoder LinearClassifier
    LinearRegressor Normalizer OneHotEncoder SVMClassifier SVMRegressor Scaler TreeEnsemble TreeEnsembleClassifier
    TreeEnsembleRegressor ZipMap
    """
ALLOWED: dict[str, frozenset[str]] = {
    "": frozenset(_STANDARD.split()) | CONTROL_FLOW,
    "ai.onnx.ml": frozenset(_CLASSICAL.split()),
}
"""By domain. Control flow is on it and has a refusal of its own."""


def is_allowed(operator: str, domain: str, version: int | None) -> bool:
    """Whether the list has this operator, and the standard has it in this version of its domain."""
    return operator in ALLOWED.get(DOMAINS.get(domain, domain), frozenset()) and schema_of(operator, domain, version) is not None


def is_control_flow(operator: str, domain: str) -> bool:
    """Whether the operator runs graphs that it holds."""
    return DOMAINS.get(domain) == "" and operator in CONTROL_FLOW


def schema_of(operator: str, domain: str, version: int | None) -> Any | None:
    """The standard's definition; None where it has none or withdrew it."""
    known = DOMAINS.get(domain)
    if known is None or version is None or not 1 <= version <= OPSET_MAX:
        return None
    try:
        schema = onnx.defs.get_schema(operator, version, known)
    except onnx.defs.SchemaError:
        return None
    return None if schema.deprecated else schema


def versions_of(opset_imports: Any) -> dict[str, int]:
    """Which version of each standard domain a graph or function asks for."""
    return {DOMAINS[opset.domain]: opset.version for opset in opset_imports if opset.domain in DOMAINS}


def name_of(node: Any) -> str:
    """`Name`, or `domain::Name` outside the standard domain."""
    return f"{node.domain}::{node.op_type}" if DOMAINS.get(node.domain) != "" else str(node.op_type)
