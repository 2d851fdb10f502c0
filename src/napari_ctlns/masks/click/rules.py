"""The constants of one-click segmentation, each with what it means.

Lengths are in mm, densities in HU. A test moves each of them by a fifth either way.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class GlassRules:
    """When the rim of a nodule is ground glass, and not just blurred.

    Attributes
    ----------
    rim_mm, rim_more_mm
        A rim this wide is blur; one that is wider by the second is glass.
    share, share_more
        Likewise, as shares of the radius.
    blur_share
        Of a slice's thickness, what it adds to the blur along z.
    contrast_hu
        Glass is denser than lung by this.
    """

    rim_mm: float = 0.9
    rim_more_mm: float = 0.3
    share: float = 0.17
    share_more: float = 0.08
    blur_share: float = 0.25
    contrast_hu: float = 90.0


@dataclass(frozen=True)
class WallRules:
    """What counts as a wall, in millimetres.

    Attributes
    ----------
    step_mm
        The grid on which it is looked for.
    thickness_mm
        What is thinner than twice this is a vessel.
    away_mm, away_share
        Outside a nodule is what lies further from its surface, and by this share of its
        radius.
    reach_mm
        How far beyond the nodule the wall is looked at.
    smallest_mm3
        Less is no wall.
    spread_mm
        Points this far beyond the nodule's radius count little.
    stiffness
        How much a bent wall is mistrusted.
    nearest_share
        A wall that is nearer than this share of the radius is the nodule itself.
    """

    step_mm: float = 1.6
    thickness_mm: float = 4.0
    away_mm: float = 1.5
    away_share: float = 0.1
    reach_mm: float = 12.0
    smallest_mm3: float = 400.0
    spread_mm: float = 8.0
    stiffness: float = 0.02
    nearest_share: float = 0.3


@dataclass(frozen=True)
class LobeRules:
    """What counts as a lobe of a nodule; a vessel or a wall is none.

    Attributes
    ----------
    step_mm
        The grid on which they are looked for.
    smallest_mm
        The radius of a nodule that may have some.
    reach_mm
        How far beyond the nodule they are looked for.
    thick_mm
        Half the thickness that a lobe has in its middle.
    fat
        What is thicker than the nodule by this factor is a wall.
    neck_share
        Of the nodule's half thickness, what the neck to a lobe has.
    gap_mm
        How far from the nodule the thick part of a lobe begins.
    size_mm
        The radius of a lobe; vessels have less.
    contrast_hu
        How much its density may differ.
    level
        Directions with less evidence of a border are open.
    touch_mm
        Where its surface is as near to the nodule as that, it goes on in it.
    open
        Of the directions, how many may be open elsewhere.
    rest_share, rest_volume
        Of its thickness and volume, what goes on beyond a vessel or a wall.
    most
        How many are looked at.
    """

    step_mm: float = 1.6
    smallest_mm: float = 4.0
    reach_mm: float = 14.0
    thick_mm: float = 3.5
    fat: float = 2.5
    neck_share: float = 0.35
    gap_mm: float = 2.0
    size_mm: float = 5.0
    contrast_hu: float = 100.0
    level: float = 0.5
    touch_mm: float = 2.0
    open: float = 0.12
    rest_share: float = 0.6
    rest_volume: float = 0.06
    most: int = 3


@dataclass(frozen=True)
class ClickRules:
    """What finds the border of a nodule.

    Attributes
    ----------
    sigma_mm
        How much the picture is smoothed before borders are sought.
    fine_sigma_mm
        Likewise before voxels are told apart.
    border
        Where between lung and nodule the border is: 0.5 is what physics says, readers
        draw a little outside of it.
    softness
        Of half the contrast, how far from the border a density is wholly in or out.
    directions, distances, rounds
        How finely surfaces are sought; see `masks.star`.
    window_mm
        How much before and behind a border is looked at.
    airiness
        What a millimetre of lung inside the surface costs.
    size
        What a millimetre of radius costs.
    slope, even_mm
        What a millimetre between neighbours costs on a nodule of this radius; on others
        in proportion, so that size does not matter for what counts as smooth.
    farthest_mm
        The largest radius looked for at first.
    shift
        How far the centre may move from the click, in radii.
    vessel_hu
        Denser than ground glass by this is a vessel, or a solid part.
    vessel_share
        Of the directions, in how many something that dense may come out of a solid part.
    vessel_gain
        How much better the borders must be with it inside than outside.
    vessel_cost
        How surely it is outside.
    outside_mm
        How far outside the surface voxels may lie.
    tilt, tilt_mm
        Of the contrast, how much the border's density changes at this depth.
    passes
        How often centre, densities and wall are sought anew, at most.
    """

    sigma_mm: float = 0.6
    fine_sigma_mm: float = 0.3
    border: float = 0.42
    softness: float = 0.45
    directions: int = 320
    distances: int = 56
    rounds: int = 12
    window_mm: float = 2.0
    airiness: float = 0.6
    size: float = 0.01
    slope: float = 0.35
    even_mm: float = 9.0
    farthest_mm: float = 22.0
    shift: float = 0.4
    vessel_hu: float = 250.0
    vessel_share: float = 0.1
    vessel_gain: float = 0.1
    vessel_cost: float = 0.5
    outside_mm: float = 0.3
    tilt: float = 0.6
    tilt_mm: float = 1.5
    passes: int = 6
    glass: GlassRules = field(default_factory=GlassRules)
    wall: WallRules = field(default_factory=WallRules)
    lobes: LobeRules = field(default_factory=LobeRules)
