"""Settings that a person types: pydantic models, and scalars that are a literal or a domain.

`Searchable[int]` accepts `8`, `{"choice": [8, 16]}` and `{"low": 8, "high": 64, "log": true,
"step": null}`; every option and bound is held to the literal's own rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Protocol, TypeVar, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    Strict,
    ValidatorFunctionWrapHandler,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import DEFAULT_REF_TEMPLATE, GenerateJsonSchema, JsonSchemaMode
from pydantic_core import PydanticCustomError, PydanticKnownError, core_schema

from models.domains import Choice, Range

T = TypeVar("T")

MAX_OPTIONS = 1000
"""Most options of a choice in a request."""

_STRICT = core_schema.CoreConfig(strict=True, allow_inf_nan=False)
"""An object within a model does not inherit the model's own configuration."""


class _JsonSchema(GenerateJsonSchema):
    """A default that is a domain is written as a request would say it."""

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, Choice | Range):
            return dft.to_json()
        return super().encode_default(dft)


class Settings(BaseModel):
    """Frozen; refuses unknown fields, strings for numbers, NaN and infinity."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )

    @classmethod
    def model_json_schema(
        cls,
        by_alias: bool | None = True,
        ref_template: str = DEFAULT_REF_TEMPLATE,
        schema_generator: type[GenerateJsonSchema] = _JsonSchema,
        mode: JsonSchemaMode = "validation",
        **given: Any,
    ) -> dict[str, Any]:
        return super().model_json_schema(by_alias, ref_template, schema_generator, mode, **given)


Items = Annotated[tuple[T, ...], Strict(False)]
"""A JSON array: a tuple that may be given as a list; its items stay strict."""


def _tag(value: object) -> str:
    if isinstance(value, Choice) or (isinstance(value, dict) and "choice" in value):
        return "choice"
    if isinstance(value, Range | dict):
        return "range"
    return "literal"


def _parse_choice(value: object, handler: ValidatorFunctionWrapHandler) -> Choice:
    return value if isinstance(value, Choice) else _domain(Choice, tuple(handler(value)["choice"]))


def _parse_range(value: object, handler: ValidatorFunctionWrapHandler) -> Range:
    return value if isinstance(value, Range) else _domain(Range, **handler(value))


def _domain(kind: type[T], *args: Any, **kwargs: Any) -> T:
    try:
        return kind(*args, **kwargs)
    except ValueError as error:
        raise PydanticCustomError("domain", "{reason}", {"reason": str(error)}) from None


class _LiteralOrDomain:
    """The schema behind `Searchable`: a union told apart by the shape of the JSON, so that an
    error names the one form that was meant.
    """

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        inner = get_args(source)[0]
        literal = handler.generate_schema(inner)
        field = core_schema.typed_dict_field
        choice = core_schema.typed_dict_schema(
            {
                "choice": field(
                    core_schema.list_schema(literal, min_length=1, max_length=MAX_OPTIONS)
                )
            },
            extra_behavior="forbid",
            config=_STRICT,
        )
        choices = {"literal": literal, "choice": _domain_schema(_parse_choice, choice)}
        expected = 'a value or {"choice": [...]}'
        if _is_number(inner):
            bounds = core_schema.typed_dict_schema(
                {
                    "low": field(literal),
                    "high": field(literal),
                    "log": field(core_schema.bool_schema(), required=False),
                    "step": field(core_schema.nullable_schema(_step_schema(inner)), required=False),
                },
                extra_behavior="forbid",
                config=_STRICT,
            )
            choices["range"] = _domain_schema(_parse_range, bounds)
            expected += ' or {"low": ..., "high": ...}'
        return core_schema.tagged_union_schema(
            choices,
            discriminator=_tag,
            custom_error_type="domain",
            custom_error_message=f"Input should be {expected}",
        )


def _domain_schema(parse: Any, schema: core_schema.CoreSchema) -> core_schema.CoreSchema:
    return core_schema.no_info_wrap_validator_function(
        parse,
        schema,
        serialization=core_schema.plain_serializer_function_ser_schema(lambda v: v.to_json()),
    )


def _plain_type(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _is_number(annotation: Any) -> bool:
    return _plain_type(annotation) in (int, float)


def _step_schema(annotation: Any) -> core_schema.CoreSchema:
    if _plain_type(annotation) is int:
        return core_schema.int_schema(strict=True, gt=0, le=10**9)
    return core_schema.float_schema(strict=True, gt=0, le=1e9, allow_inf_nan=False)


Searchable = Annotated[T | Choice | Range, _LiteralOrDomain()]
"""A literal of type T, or a domain over it."""


def searchable(model: type[BaseModel], name: str) -> type[Settings]:
    """The request form of a settings class: every field becomes literal or domain."""
    fields: dict[str, Any] = {}
    for field_name, info in model.model_fields.items():
        inner = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        fields[field_name] = (
            Searchable[inner],  # type: ignore[valid-type, misc]  # a type made at run time
            FieldInfo(default=info.default, description=info.description),
        )
    return create_model(name, __base__=Settings, __doc__=model.__doc__, **fields)


ONE, SEVERAL = "one", "several"
"""Names of the forms of a field that `OneOf` reads: in pydantic's location, not in the request."""


class Entries(Protocol):
    """What a request may name, as a registry has it: each entry with its `Settings`."""

    kind: str

    def __getitem__(self, name: str, /) -> Any: ...

    def __iter__(self) -> Iterator[str]: ...


class OneOf:
    """The schema of an object whose field `key` names one of the entries, and whose other fields
    are that entry's `Settings`. `several`: an array of such objects may stand in its place, of so
    many at most.
    """

    def __init__(self, entries: Entries, key: str, *, several: int = 0) -> None:
        self.entries, self.key, self.several = entries, key, several

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        one = self._one(handler)
        if not self.several:
            return one
        return core_schema.tagged_union_schema(
            {
                ONE: one,
                SEVERAL: core_schema.no_info_after_validator_function(
                    _refuse_none,
                    core_schema.tuple_schema(
                        [one],
                        variadic_item_index=0,
                        max_length=self.several,
                        strict=False,
                        metadata={"pydantic_js_updates": {"minItems": 1}},
                    ),
                ),
            },
            discriminator=lambda value: SEVERAL if isinstance(value, list | tuple) else ONE,
        )

    def _one(self, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.tagged_union_schema(
            {
                name: handler.generate_schema(
                    named_settings(self.entries[name].Settings, self.key, name)
                )
                for name in self.entries
            },
            discriminator=self.key,
        )


def _refuse_none(items: tuple[T, ...]) -> tuple[T, ...]:
    """Here, as pydantic says of items that are all refused that there is none."""
    if not items:
        told = {"field_type": "Tuple", "min_length": 1, "actual_length": 0}
        raise PydanticKnownError("too_short", told)
    return items


def named_settings(settings: type[Settings], key: str, name: str) -> type[Settings]:
    """`settings` with the field `key` fixed to `name`: the form in a request."""
    if get_args(settings.model_fields[key].annotation) == (name,):
        return settings
    title = "".join(part.title() for part in name.split("_")) + "Settings"
    field: dict[str, Any] = {key: (Literal[name], FieldInfo())}
    return create_model(title, __base__=settings, __doc__=settings.__doc__, **field)
