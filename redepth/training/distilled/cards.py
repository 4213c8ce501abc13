"""What the card of a student says."""

from __future__ import annotations

from redepth.training.distilled.measure import Judgement
from redepth.training.distilled.settings import DistilledTraining
from redepth.training.engine.cards import CardText
from redepth.training.examples.teacher_pictures import TeacherPictures


def student_card(
    settings: DistilledTraining, pictures: TeacherPictures, judgement: Judgement, num_weights: int
) -> CardText:
    """Describe a student by its teacher, what it reproduces, and whose licences count."""
    channels = ", ".join(str(count) for count in settings.network.channels)
    teachers = "; ".join(f"{name} ({digest[:12]})" for name, digest in pictures.recipes)
    ban = "non-commercial, as " if pictures.is_non_commercial else ""
    return CardText(
        "distilled",
        "diffusers",
        f"A student of {num_weights / 1e6:.1f} million weights (UNet2DModel, {channels} channels): "
        f"picture and coarse map in, refined map out, in one pass. Distilled from labels of "
        f"{teachers}. On {len(judgement.held_out)} labelled images that were "
        "kept out of the training it reproduces "
        f"{judgement.kept_share:.0%} of its teacher's change.",
        "It knows images like those that it was distilled from. Others it leaves alone when they "
        f"are farther than {judgement.gain.max_distance:.2f} (gain.json). It repeats what its "
        "teacher does on average, errors included: it was compared with its teacher, not with "
        "measured depth.",
        command="redepth distill",
        page="docs/distillation.md",
        seen="trained on",
        license="other",
        licence=f"{ban}the most restrictive of its teacher's: {'; '.join(pictures.models)}",
    )
