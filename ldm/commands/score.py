"""Commands that judge pictures of any origin: scores with intervals, and paired differences of two sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from ldm.commands import cards, tables
from ldm.files import check_out

if TYPE_CHECKING:
    from ldm.data.sources import Source
    from ldm.metrics.extraction import Extracted
    from ldm.metrics.perceptual.extractors import Extractor
    from ldm.metrics.reference import Reference

MORE, EQUAL = "no number: more reference pictures", "no number: they are equal"
USUAL = {"inception": "fid,kid", "clip-l14-336": "cmmd", "clip-l14": "cmmd", "clip-b32": "cmmd"}


def score(
    pictures: Positional[str],
    reference: Positional[str] = "",
    /,
    network: str = "efficientnet",
    weights: Path | None = None,
    resize: str = "",
    metrics: str = "",
    tokenizer: Path | None = None,
    k: int = 5,
    most: int = 10_000,
    splits: int = 10,
    directions: int = 512,
    save_statistics: Path | None = None,
    out: tuple[Path, ...] = (),
    work: Path | None = None,
) -> None:
    """Score pictures against real ones, each score with its 95 % interval; stopped, it goes on where it was.

    Pictures, reference: a folder (and all below it, or what its metadata.jsonl names), tar shards, a Parquet file; the
    reference also statistics that save-statistics wrote, or those of pytorch-fid and clean-fid (.npz).
    Network: efficientnet (which ships), inception, clip-b32, clip-l14, clip-l14-336, dino or dinov2, with weights: the
    published safetensors. Resize: clean-fid, torch-fidelity, pytorch-fid or pil, of inception and efficientnet.
    Metrics: of fid, fd-inf, kid, cmmd, mind, precision, recall, density, coverage, is, clip-score, with commas between;
    usually fid,kid (CLIP's networks: cmmd).
    Tokenizer: a folder with CLIP's vocab.json and merges.txt, for clip-score.
    K, most: neighbours of precision to coverage, and how many pictures these look at. Splits: of is. Directions: of
    mind. Out: .json and .csv files. Work: a folder for features, which a second run finds again; runs/scores of the
    current folder, if left out.
    """
    from ldm.data.sources import open_source
    from ldm.metrics import scoring

    settings = scoring.Settings(k=k, most=most, splits=splits, directions=directions)
    extractor, names = _extractor_and_metrics(network, weights, resize, metrics, reference, bool(save_statistics))
    tables.check(out)
    if save_statistics:
        check_out(save_statistics, [".safetensors"])
    source, true = open_source(pictures), _opened(reference, extractor, names)
    scoring.check_counts(names, len(source), _count(true), settings)
    extracted = _extract(source, extractor, work, _tokens(names, tokenizer, weights))
    if save_statistics:
        from ldm.metrics.reference import Reference

        Reference.of(extracted).save(save_statistics, extractor.protocol)
        print(save_statistics)
    real = _reference(true, extractor, work)
    found = scoring.scores(names, extractor, extracted, real, settings)
    if not found:
        return
    rows = [
        {
            "score": one.title,
            "value": one.found.value,
            "95 % interval": f"{one.found.lo:.4g} to {one.found.hi:.4g}",
            "n": one.found.n,
            "better": one.better,
            "card": one.card.fingerprint,
        }
        for one in found
    ]
    print(tables.printed(rows))
    print(cards.notes(found))
    if real and real.images == extracted.images:
        print("Pictures and reference are the same files: nothing is measured but how few they are.")
    print("\n" + cards.card(extractor, [extracted], real))
    records = [
        {
            "metric": one.metric,
            "title": one.title,
            **one.found._asdict(),
            "better": one.better,
            "note": one.note,
            **cards.of_card(one),
            "pictures": extracted.images,
        }
        for one in found
    ]
    tables.write(out, records, cards.about(extractor, [extracted], real, settings))


def compare(
    a: Positional[str],
    b: Positional[str],
    /,
    reference: str = "",
    by: str = "names",
    network: str = "efficientnet",
    weights: Path | None = None,
    resize: str = "",
    metrics: str = "",
    tokenizer: Path | None = None,
    k: int = 5,
    most: int = 10_000,
    splits: int = 10,
    directions: int = 512,
    out: tuple[Path, ...] = (),
    work: Path | None = None,
) -> None:
    """Say which of two sets of pictures is better: A minus B, paired, with its interval.

    It also says how many pictures it takes to tell them apart.

    By: names, pictures of the same path within their set (whatever its ending), or captions. All else as of score.
    """
    from ldm.data.sources import open_source
    from ldm.metrics import matching, scoring
    from ldm.metrics.manifold import Manifold

    if by not in ("names", "captions"):
        raise ValueError(f"by = {by!r}: expected names or captions; choose one of them.")
    settings = scoring.Settings(k=k, most=most, splits=splits, directions=directions)
    extractor, names = _extractor_and_metrics(network, weights, resize, metrics, reference, False)
    tables.check(out)
    tokens = _tokens(names, tokenizer, weights)
    sources, true = [open_source(place) for place in (a, b)], _opened(reference, extractor, names)
    words = [source.names if by == "names" else source.captions() for source in sources]
    which = matching.match(words[0], words[1], by)
    scoring.check_counts(names, len(which.a), _count(true), settings)
    for name in names:
        if name in Manifold._fields and settings.most < len(which.a):
            raise ValueError(f"{name} looks at {settings.most:,} pictures: give --most {len(which.a)} or more.")
    both = [_extract(source, extractor, work, tokens) for source in sources]
    chosen = [both[0].only(which.a), both[1].only(which.ascending)]
    real = _reference(true, extractor, work)
    ones, others = (scoring.scores(names, extractor, extracted, real, settings) for extracted in chosen)
    rows, records = [], []
    for one, other in zip(ones, others, strict=True):
        gap = matching.matched_difference(one.found, other.found, which)
        many = matching.needed(gap)
        sure = gap.lo > 0 or gap.hi < 0
        better = "A" if (gap.value < 0) == (one.better == "lower") else "B"
        rows.append(
            {
                "score": one.title,
                "A": one.found.value,
                "B": other.found.value,
                "A - B": gap.value,
                "95 % interval": f"{gap.lo:.4g} to {gap.hi:.4g}",
                "better": better if sure else "not told apart",
                "pairs to tell": f"{many:,}" if many else MORE if gap.value else EQUAL,
            }
        )
        records.append(
            {
                "metric": one.metric,
                "title": one.title,
                "a": one.found.value,
                "b": other.found.value,
                **gap._asdict(),
                "better": better if sure else "",
                "needed": many,
                **cards.of_card(one),
            }
        )
    alone = [len(one) - len(which.a) for one in both]
    left = f"; left out as without a partner: {alone[0]:,} of A, {alone[1]:,} of B" if any(alone) else ""
    print(f"{len(which.a):,} pairs by {by}; A = {a}, B = {b}{left}\n")
    print(tables.printed(rows))
    print(cards.notes(ones))
    if any(one.metric == "fid" for one in ones):
        print("fid: both are biased upwards, not always by as much; where kid disagrees, believe kid.")
    print(f"\nPairs to tell: with a chance of {matching.CHANCE:.0%}, were the true difference the one seen here.")
    print("\n" + cards.card(extractor, both, real))
    tables.write(out, records, cards.about(extractor, both, real, settings) | {"by": by, "pairs": len(which.a)})


def _extractor_and_metrics(
    network: str, weights: Path | None, resize: str, metrics: str, reference: str, saves: bool
) -> tuple[Extractor, tuple[str, ...]]:
    """Return the network, loaded, and the names of the metrics, which it can measure.

    Raises: ValueError, in one sentence, for what it cannot.
    """
    from ldm.metrics import scoring
    from ldm.metrics.perceptual.extractors import load_extractor

    usual = USUAL.get(network, "fid,kid") if reference or not saves else ""
    if Path(reference).suffix == ".npz":  # a mean and a covariance alone
        usual = "fid"
    names = tuple(name.strip() for name in (metrics or usual).split(",") if name.strip())
    found = load_extractor(network, weights, resize)
    scoring.check(names, found, bool(reference))
    return found, names


def _opened(place: str, extractor: Extractor, names: Sequence[str]) -> Source | Reference | None:
    """Return the real pictures, or statistics in their place; None where there are none.

    Raises: ValueError for statistics that these scores cannot use: before any picture is looked at.
    """
    from ldm.data.sources import open_source
    from ldm.metrics import reference, scoring

    if not place:
        return None
    if not reference.is_statistics(place):
        return open_source(place)
    found = reference.read(Path(place), extractor.protocol)
    scoring.check_statistics(names, found, extractor)
    return found


def _count(true: Source | Reference | None) -> int | None:
    """Return how many real pictures scores can look at; None where there are none, or a mean and covariance alone."""
    from ldm.metrics.reference import Reference

    if isinstance(true, Reference):
        return None if true.features is None else len(true.features)
    return None if true is None else len(true)


def _tokens(names: Sequence[str], tokenizer: Path | None, weights: Path | None) -> Any:
    """Return how captions become ids; None where no score asks for them."""
    if "clip-score" not in names:
        return None
    from ldm.interop.stable_diffusion.tokenizer import read_tokenizer

    if tokenizer is None and weights is not None:
        tokenizer = weights if weights.is_dir() else weights.parent
    if tokenizer is None:
        raise ValueError("clip-score reads captions: give the folder of the network's tokenizer, --tokenizer FOLDER.")
    return read_tokenizer(tokenizer)


def _extract(source: Source, extractor: Extractor, work: Path | None, tokens: Any) -> Extracted:
    from ldm.metrics.extraction import extract, read_captions

    extracted = extract(source, extractor, work or Path("runs/scores"))
    return read_captions(extracted, source.captions(), extractor, tokens) if tokens else extracted


def _reference(true: Source | Reference | None, extractor: Extractor, work: Path | None) -> Reference | None:
    """Return the reference: pictures are looked at, statistics are one; None where there are no real pictures."""
    from ldm.metrics.reference import Reference

    if true is None or isinstance(true, Reference):
        return true
    return Reference.of(_extract(true, extractor, work, None))
