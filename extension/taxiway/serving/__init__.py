"""What answers predictions, inside every Bento and behind the local back end.

It stands alone: orjson, numpy, onnxruntime and uvicorn, ``taxiway.signature``, and nothing else, so
that it starts in well under a second and a production image needs nothing more.
"""
