"""What a service answers as, where it listens, and what it bears."""

from __future__ import annotations

from pydantic import Field, field_validator

from rlpersona.config.base import Config, ModelConfig, Names


class ServeConfig(Config):
    """A service over one base model. Nobody but this machine can reach it unless `host` says so."""

    runs: Names = Field((), description="runs whose personas answer; their base model is shared")
    model: ModelConfig = Field(
        ModelConfig(name="", engine="vllm"),
        description="the base, with engine and device; empty name: what the first run started from",
    )
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, lt=65536)
    token_file: str = Field(
        "", description="file of the bearer token; needed where host is not loopback"
    )
    replicas: int = Field(1, ge=1, description="replicas of the engine at rest")
    max_replicas: int = Field(
        1, ge=1, description="more replicas than at rest: as many as load asks for"
    )
    in_flight: int = Field(64, ge=1, description="requests that a replica answers at a time")
    queue: int = Field(256, ge=0, description="requests that wait beyond that; 503 for more")
    max_tokens: int = Field(1024, ge=1, description="largest max_tokens of a request")
    max_body: int = Field(1_000_000, ge=1024, description="bytes of a request")
    requests_per_minute: float | None = Field(None, gt=0, description="of one client; empty: any number")
    max_connections: int = Field(1024, ge=1, description="open connections of all clients")
    idle_timeout: float = Field(15.0, gt=0, description="seconds without a whole request")

    @field_validator("model", mode="before")
    @classmethod
    def _model_by_name(cls, value: object) -> object:
        return {"name": value, "engine": "vllm"} if isinstance(value, str) else value
