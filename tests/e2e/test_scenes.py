"""The seven scenes of the demo, each followed by the proof."""

import pytest

from bronco.scenes import SCENES, Scene, play_scene
from tests.e2e.desk import Desk


@pytest.mark.parametrize("scene", SCENES, ids=[scene.name for scene in SCENES])
async def test_scene__played__ends_as_it_should(desk: Desk, scene: Scene) -> None:
    result = await play_scene(scene, desk.play)
    assert result.ok, result.detail
