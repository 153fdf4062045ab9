"""The commands of `nasmith`, one file a noun. Heavy imports wait inside the functions, so that
`nasmith --help` is quick.
"""
