"""The commands of `nasmith` that need only the client, one file a noun. Heavy imports wait inside
the functions, so that `nasmith --help` is quick.
"""
