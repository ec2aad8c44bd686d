"""Make a checkpoint of transformers out of the q8 ONNX graph of MiniMind2-Small.

    python studies/second_model/convert.py PACKAGE OUT [--check]

1. Each integer product of the graph is named after the module that it came from and has an int8 matrix with one scale
   and one zero point: W = (codes - zero point) * scale, laid out (in, out). So is the embedding; norms are plain.
2. The two were tied before they were quantised, each in its own way: here they stay two matrices, as in the graph.
3. ``--check``: the same texts through both, and what the model answers. The graph is run as it is, with activations
   rounded to 8 bits, and with its products in float32 on the same dequantised weights, which must agree.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import ModelProto, helper, numpy_helper
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

GRAPH = Path("onnx") / "model_quantized.onnx"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json")
TEXTS = ("The capital of France is Paris, and", "请介绍一下你自己。", "1 + 1 = 2; 2 + 2 = 4; x = [1, 2, 3]")
QUESTIONS = ("What is the capital of France?", "Name three colours.", "为什么天空是蓝色的？")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path, help="the unpacked npm package")
    parser.add_argument("out", type=Path)
    parser.add_argument("--check", action="store_true", help="needs onnxruntime")
    settings = parser.parse_args()
    graph = onnx.load(settings.package / GRAPH)
    config = json.loads((settings.package / "config.json").read_text("utf-8"))
    model = LlamaForCausalLM(LlamaConfig(**config | {"tie_word_embeddings": False, "dtype": "float32"}))
    model.load_state_dict({name: torch.tensor(weight) for name, weight in weights(graph).items()})
    model.eval().save_pretrained(settings.out)
    for name in TOKENIZER:
        shutil.copy(settings.package / name, settings.out / name)
    if settings.check:
        check(model, AutoTokenizer.from_pretrained(settings.out), graph)


def weights(graph: ModelProto) -> dict[str, np.ndarray]:
    """Every weight in float32 under its name in transformers."""
    known = {one.name: numpy_helper.to_array(one) for one in graph.graph.initializer}
    found = {name: weight for name, weight in known.items() if name.endswith("norm.weight")}
    found["model.embed_tokens.weight"] = dequantised(known, "model.embed_tokens.weight")
    for node in products(graph):
        name = node.name.strip("/").removesuffix("/MatMul_quant").replace("/", ".")
        found[f"{name}.weight"] = dequantised(known, node.input[1].removesuffix("_quantized")).T.copy()
    return found


def products(graph: ModelProto) -> list[onnx.NodeProto]:
    return [node for node in graph.graph.node if node.op_type == "MatMulInteger"]


def dequantised(known: dict[str, np.ndarray], name: str) -> np.ndarray:
    codes, zero = known[f"{name}_quantized"].astype(np.float32), known[f"{name}_zero_point"].astype(np.float32)
    return (codes - zero) * known[f"{name}_scale"]


def in_float(graph: ModelProto) -> ModelProto:
    """The graph with a plain product in the place of each integer one."""
    made, known = ModelProto(), {one.name: numpy_helper.to_array(one) for one in graph.graph.initializer}
    made.CopyFrom(graph)
    nodes = made.graph.node
    given = {out: node.input[0] for node in nodes if node.op_type == "DynamicQuantizeLinear" for out in node.output}
    for node in products(made):
        name = node.input[1].removesuffix("_quantized")
        cast = next(one for one in nodes if node.output[0] in one.input)
        scaled = next(one for one in nodes if cast.output[0] in one.input)
        made.graph.initializer.append(numpy_helper.from_array(dequantised(known, name), name))
        place = list(nodes).index(scaled)
        plain = helper.make_node("MatMul", [given[node.input[0]], name], [scaled.output[0]])
        del nodes[place]
        nodes.insert(place, plain)
    return made


def check(model: LlamaForCausalLM, tokenizer, graph: ModelProto) -> None:
    """Print the largest differences of logits, and a few answers."""
    from onnxruntime import InferenceSession

    as_is, plain = (InferenceSession(one.SerializeToString()) for one in (graph, in_float(graph)))
    for text in TEXTS:
        ids = np.array([tokenizer(text).input_ids])
        with torch.no_grad():
            ours = model(torch.tensor(ids)).logits.numpy()
        plainly, rounded = (session.run(["logits"], fed(session, ids))[0] for session in (plain, as_is))
        same = (rounded.argmax(-1) == ours.argmax(-1)).mean()
        off = [np.abs(ours - theirs).max() for theirs in (plainly, rounded)]
        print(f"{text!r}: largest logit {np.abs(ours).max():.1f}; off by at most {off[0]:.1e} (products in float32)")
        print(f"  and {off[1]:.2f} (activations of 8 bits), where the best token is the same at {same:.0%} of places")
    for text in QUESTIONS:
        row = [{"role": "user", "content": text}]
        ids = tokenizer.apply_chat_template(row, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        answer = model.generate(**ids, max_new_tokens=60, do_sample=False)[0, ids["input_ids"].shape[1] :]
        print(f"{text} -> {tokenizer.decode(answer, skip_special_tokens=True)!r}")


def fed(session, ids: np.ndarray) -> dict[str, np.ndarray]:
    """What the graph is given: tokens, a mask, positions, and no past."""
    found = {"input_ids": ids, "attention_mask": np.ones_like(ids), "position_ids": np.arange(ids.shape[1])[None]}
    past = [one for one in session.get_inputs() if one.name.startswith("past")]
    return found | {one.name: np.zeros((1, one.shape[1], 0, one.shape[3]), np.float32) for one in past}


if __name__ == "__main__":
    main()
