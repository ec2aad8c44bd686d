"""One layer of one model, read whole: the unit of work.  (Paper 5.1.)

1. W_q and W_k of the layer's heads, norms folded in; a shared key head stands for each of its query heads.
2. The top words of every query and key neuron, and every neuron pair's energy.
3. Word pairs by co-occurrence, the lists of neuron pairs and of heads; the same for each control.
"""

from collections.abc import Mapping

import polars as pl
import torch
from torch import Tensor

from aftertune.explainers.heads import result as results
from aftertune.explainers.heads.cooccurrence import Lexicon
from aftertune.explainers.heads.word_pairs import HeadLists, WordPairs, head_lists, shortened, word_pairs
from aftertune.models.loaded import Checkpoint
from aftertune.models.top_words import TopWords, top_words
from aftertune.models.vocabulary import WordEmbeddings
from aftertune.models.weights import AttentionShape, attention_shape, query_key_weights

Frames = dict[str, pl.DataFrame]


@torch.inference_mode()
def read_layer(
    checkpoint: Checkpoint, layer: int, lexicon: Lexicon, embeddings: WordEmbeddings, *, with_controls: bool = True
) -> Frames:
    """The four frames of `HeadReading` for one layer; those of controls are empty where they are left out."""
    shape = attention_shape(checkpoint)
    query, key = _top_words(checkpoint, layer, lexicon.settings.n_top, embeddings)
    device, n = query.words.device, lexicon.settings.n_pairs
    found = word_pairs(query, key, lexicon.co_occurrence.on(device))
    energy = (query.energy + key.energy).view(shape.n_heads, shape.d_head)
    frames = {
        "neurons": _neurons(layer, shortened(found, n), energy, lexicon.spelled),
        "pairs": _pairs(layer, _lists(found, lexicon, shape), lexicon.lowered),
    }
    controls, neurons = [_no_pairs("controls")], [_no_pairs("control_neurons")]
    for kind, draw, words in lexicon.controls if with_controls else ():
        found = word_pairs(query, key, words.on(device))
        marks: dict[str, str | int] = {"control": kind, "draw": draw}
        controls.append(_marked(_pairs(layer, _lists(found, lexicon, shape), lexicon.lowered), marks, "controls"))
        neurons.append(_marked(_ids(layer, shortened(found, n), shape.d_head), marks, "control_neurons"))
    return frames | {"controls": pl.concat(controls), "control_neurons": pl.concat(neurons)}


def _top_words(checkpoint: Checkpoint, layer: int, k: int, embeddings: WordEmbeddings) -> tuple[TopWords, TopWords]:
    """The top words of the query and of the key neuron of every neuron pair."""
    query, key = query_key_weights(checkpoint, layer)
    weights = torch.cat([query.flatten(0, 1), key.flatten(0, 1)])
    found = top_words(weights, embeddings, k)
    n_heads, d_head = query.shape[:2]
    own = torch.arange(n_heads * d_head, device=weights.device)
    shared = torch.arange(n_heads, device=weights.device) // attention_shape(checkpoint).n_sharing
    keys = (n_heads + shared).repeat_interleave(d_head) * d_head + own % d_head
    return _select(found, own), _select(found, keys)


def _select(found: TopWords, rows: Tensor) -> TopWords:
    return TopWords(found.words[rows], found.activations[rows], found.energy[rows])


def _lists(found: WordPairs, lexicon: Lexicon, shape: AttentionShape) -> HeadLists:
    lowered = lexicon.co_occurrence.lowered.to(found.neuron.device)
    return head_lists(found, lowered, shape.d_head, lexicon.settings.n_pairs)


def _neurons(layer: int, pairs: WordPairs, energy: Tensor, spelled: pl.Series) -> pl.DataFrame:
    rank = energy.argsort(dim=1, descending=True, stable=True).argsort(dim=1) + 1
    ids = _ids(layer, pairs, energy.shape[1])
    values = {"rank": rank, "energy": energy}
    columns = {name: value.flatten()[pairs.neuron].cpu().numpy() for name, value in values.items()}
    words = {"query_word": spelled.gather(ids["query"]), "key_word": spelled.gather(ids["key"])}
    return _frame("neurons", ids.with_columns(**columns, **words, cosine=pairs.cosine.cpu().numpy()))


def _ids(layer: int, pairs: WordPairs, d_head: int) -> pl.DataFrame:
    columns = {"head": pairs.neuron // d_head, "neuron": pairs.neuron % d_head, "query": pairs.query, "key": pairs.key}
    return pl.DataFrame({name: column.cpu().numpy() for name, column in columns.items()}).with_columns(layer=layer)


def _pairs(layer: int, lists: HeadLists, lowered: pl.Series) -> pl.DataFrame:
    columns = {name: getattr(lists, name).cpu().numpy() for name in ("head", "rank", "n_neurons")}
    words = {f"word_{name}": lowered.gather(getattr(lists, name).cpu().numpy()) for name in "ab"}
    return _frame("pairs", pl.DataFrame(columns | words).with_columns(layer=layer))


def _marked(frame: pl.DataFrame, marks: Mapping[str, str | int], name: str) -> pl.DataFrame:
    return _frame(name, frame.with_columns(**{mark: pl.lit(value) for mark, value in marks.items()}))


def _frame(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    schema = pl.Schema(results.FRAMES[name])
    return frame.select(schema.names()).cast(schema)


def _no_pairs(name: str) -> pl.DataFrame:
    return pl.DataFrame(schema=pl.Schema(results.FRAMES[name]))
