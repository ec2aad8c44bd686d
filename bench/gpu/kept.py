"""What is measured already: one JSON file for each measurement, written whole or not at all."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

ABOUT = "about"


@dataclass(frozen=True)
class Kept:
    """A folder of finished measurements; another shape or another chip may not go on in it."""

    folder: Path

    @classmethod
    def at(cls, folder: Path, shape: str, device: str) -> "Kept":
        """Raises SystemExit where the folder holds measurements of something else."""
        found = cls(folder)
        folder.mkdir(parents=True, exist_ok=True)
        chip = torch.cuda.get_device_name() if device == "cuda" else device
        about = {"shape": shape, "chip": chip, "torch": torch.__version__}
        if not found.has(ABOUT):
            found.keep(ABOUT, about)
        if found[ABOUT] != about:
            raise SystemExit(f"{folder} holds measurements of {found[ABOUT]}, not of {about}. Give another --out.")
        return found

    def has(self, name: str) -> bool:
        return self._place(name).exists()

    def __getitem__(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._place(name).read_text("utf-8"))
        return found

    def get(self, name: str) -> dict[str, Any] | None:
        return self[name] if self.has(name) else None

    def keep(self, name: str, found: dict[str, Any]) -> None:
        self._write(self._place(name), json.dumps(found, indent=1).encode() + b"\n")

    def keep_array(self, name: str, array: np.ndarray) -> None:
        place = self.folder / f"{name}.npy.new"
        with place.open("wb") as file:
            np.save(file, array)
        place.replace(place.with_suffix(""))

    def array(self, name: str) -> np.ndarray | None:
        place = self.folder / f"{name}.npy"
        return np.load(place) if place.exists() else None

    def names(self) -> list[str]:
        return sorted(place.stem for place in self.folder.glob("*.json"))

    def _place(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _write(self, place: Path, text: bytes) -> None:
        new = place.with_suffix(".new")
        new.write_bytes(text)
        new.replace(place)
