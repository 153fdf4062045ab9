from tests.support.command_line import nasmith

__all__ = ["nasmith"]
