"""Who the model is told to be."""

from rlpersona.personas.roster import NO_PERSONA, load_personas

__all__ = ["NO_PERSONA", "load_personas"]
