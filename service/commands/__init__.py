"""The commands of `nasmith` that need the server's packages, one file a noun. Heavy imports wait
inside the functions, so that `nasmith --help` is quick.
"""
