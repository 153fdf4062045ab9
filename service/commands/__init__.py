"""The commands of `netsmith`, one file a noun. Heavy imports wait inside the functions, so that
`netsmith --help` is quick.
"""
