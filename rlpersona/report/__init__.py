"""What a person sees of a run: a live view, a table in the terminal and one self-contained page.

Everything here reads only the run folder; nothing here computes a result of its own.
"""
