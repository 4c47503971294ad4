"""ONNX models, computed by onnxruntime-genai; torch only draws the tokens."""
