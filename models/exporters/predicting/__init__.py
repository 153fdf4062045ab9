"""`predict.py` of a bundle, in parts: `models.exporters.prediction` makes one text of those that
the samples of a task need. A part knows torch, safetensors and the standard library, numpy where
arrays come in, Pillow for picture files, and of ours what stands in the same text.
"""
