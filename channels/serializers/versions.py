"""Versions of the wire protocol: semantic versions and the requirements that they are held against
(Elixir `Version`).
"""

from __future__ import annotations

import re
from typing import Final

import attrs

__all__ = ("Requirement", "Version")

# semver.org, items 2, 9 and 10; nine digits a number, because the text comes from a stranger
_NUMBER: Final = r"(?:0|[1-9][0-9]{0,8})"
_PRE: Final = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER: Final = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_PRE}(?:\.{_PRE})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
_REQUIREMENT: Final = re.compile(r"(~>|==)\s*(\S+)")


@attrs.frozen
class Version:
    """A semantic version without its build metadata, which has no meaning for precedence."""

    major: int
    minor: int
    patch: int
    pre: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: object) -> Version | None:
        """Return the version that `text` is, or `None` if it is not one in full (`2.0` is not)."""
        match = _SEMVER.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            return None
        major, minor, patch, pre = match.groups()
        return cls(int(major), int(minor), int(patch), tuple(pre.split(".")) if pre else ())

    @property
    def precedence(self) -> tuple[object, ...]:
        """What versions are ordered by (semver.org, item 11): a pre-release comes before its
        release.
        """
        identifiers = tuple(
            (0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre
        )
        return (self.major, self.minor, self.patch, not self.pre, identifiers)


@attrs.frozen(init=False)
class Requirement:
    """`~> 2.0.0` (2.0.x, at least 2.0.0), `~> 2.0` (2.x, at least 2.0.0) or `== 2.0.0`, as Elixir
    has them.

    Raises `ValueError` for anything else.
    """

    text: str
    lowest: Version
    same: int  # how many of major, minor, patch must be equal to those of `lowest`

    def __init__(self, text: str) -> None:
        match = _REQUIREMENT.fullmatch(text)
        operator, number = match.groups() if match else ("", "")
        short = operator == "~>" and number.count(".") == 1 and "-" not in number
        lowest = Version.parse(f"{number}.0" if short else number)
        if lowest is None:
            raise ValueError(
                f"version requirement {text!r}; expected '~> 2.0.0', '~> 2.0' or '== 2.0.0'"
            )
        same = 3 if operator == "==" else 1 if short else 2
        self.__attrs_init__(text, lowest, same)

    def accepts(self, version: Version) -> bool:
        """Whether `version` meets it."""
        numbers = (version.major, version.minor, version.patch)[: self.same]
        lowest = (self.lowest.major, self.lowest.minor, self.lowest.patch)[: self.same]
        if self.same == 3 and version.pre != self.lowest.pre:
            return False
        return numbers == lowest and bool(version.precedence >= self.lowest.precedence)
