"""Tiny models of every architecture, built from config with a fixed seed; a tokenizer that needs no download."""

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    Dots1Config,
    Ernie4_5_MoeConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    GraniteMoeConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    Olmo2Config,
    OlmoeConfig,
    Phi3Config,
    PhimoeConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2MoeConfig,
    Qwen3Config,
    Qwen3MoeConfig,
)

SHARED = {"vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "eos_token_id": 2}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "bos_token_id": 1}
GQA = SHARED | HEADS | {"pad_token_id": 0}
N_EXPERTS = 3
NARROW = {"num_experts_per_tok": 2, "moe_intermediate_size": 40}

CONFIGS = {
    "llama": lambda: LlamaConfig(**GQA, tie_word_embeddings=True),
    "mistral": lambda: MistralConfig(**GQA, sliding_window=6),
    "qwen2": lambda: Qwen2Config(**GQA),
    "qwen3": lambda: Qwen3Config(**GQA, head_dim=16),
    "gemma2": lambda: Gemma2Config(**GQA, head_dim=8, sliding_window=6, final_logit_softcapping=5.0),
    "gemma3_text": lambda: Gemma3TextConfig(**GQA, head_dim=8, sliding_window=6, sliding_window_pattern=2),
    "phi3": lambda: Phi3Config(**GQA),
    "olmo2": lambda: Olmo2Config(**GQA),
    "gpt2": lambda: GPT2Config(
        vocab_size=300, n_embd=32, n_layer=3, n_head=4, n_positions=128, bos_token_id=1, eos_token_id=2
    ),
    "gpt_neox": lambda: GPTNeoXConfig(
        **SHARED, num_attention_heads=4, max_position_embeddings=128, rotary_pct=0.5, bos_token_id=1
    ),
    "mixtral": lambda: MixtralConfig(**GQA, num_local_experts=N_EXPERTS, sliding_window=6),
    "qwen2_moe": lambda: Qwen2MoeConfig(
        **GQA, **NARROW, num_experts=N_EXPERTS, shared_expert_intermediate_size=44, mlp_only_layers=[0]
    ),
    "qwen3_moe": lambda: Qwen3MoeConfig(**GQA, **NARROW, head_dim=16, num_experts=N_EXPERTS, decoder_sparse_step=2),
    "olmoe": lambda: OlmoeConfig(**GQA, num_experts=N_EXPERTS, num_experts_per_tok=2),
    "phimoe": lambda: PhimoeConfig(
        **GQA, num_local_experts=N_EXPERTS, attention_bias=True, lm_head_bias=True, sliding_window=6
    ),
    "granitemoe": lambda: GraniteMoeConfig(
        **GQA, num_local_experts=N_EXPERTS, logits_scaling=3.0, embedding_multiplier=2.0, residual_multiplier=0.5
    ),
    "ernie4_5_moe": lambda: Ernie4_5_MoeConfig(
        **GQA, moe_num_experts=N_EXPERTS, moe_k=2, moe_intermediate_size=40, moe_layer_start_index=1
    ),
    "dots1": lambda: Dots1Config(
        **GQA, **NARROW, n_routed_experts=N_EXPERTS, n_shared_experts=1, first_k_dense_replace=1
    ),
}
FAMILIES = sorted(CONFIGS)  # those of the table

SLIDING = {"sliding_window": 6, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
GRANITE = {"embedding_multiplier": 2.0, "residual_multiplier": 0.5, "attention_multiplier": 0.3, "logits_scaling": 3.0}
# Those that are told by their structure, with what differs from `GQA`. After a dash stands what is turned on besides.
DERIVED = {
    "apertus": {},
    "arcee": {},
    "cohere": {"logit_scale": 0.25},
    "cohere-qk": {"use_qk_norm": True},
    "cohere2": {"head_dim": 8, "logit_scale": 0.25, **SLIDING},
    "cwm": {"head_dim": 8, **SLIDING},
    "ernie4_5": {"head_dim": 8},
    "exaone4": SLIDING,
    "gemma": {"head_dim": 16},
    "glm": {"head_dim": 8},
    "glm4": {"head_dim": 8},
    "granite": GRANITE,
    "helium": {"head_dim": 8},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hyperclovax": {**GRANITE, "use_post_norm": True},
    "internlm3": {"head_dim": 8},
    "iquestcoder": {"head_dim": 8},
    "jais2": {"head_dim": 8},
    "lfm2": {"layer_types": ["full_attention", "conv", "full_attention"]},
    "llama-yarn": {
        "rope_parameters": {
            "rope_type": "yarn",
            "factor": 4.0,
            "rope_theta": 1e4,
            "original_max_position_embeddings": 32,
        }
    },
    "ministral": {"head_dim": 8, **SLIDING},
    "ministral3": {"head_dim": 16},
    "moshi": {},
    "nanochat": {},
    "nemotron": {},
    "olmo": {},
    "olmo3": SLIDING,
    "phi": {},
    "phi-qk": {"qk_layernorm": True},
    "phi4_multimodal": {  # what sees and hears is of real size by default, and is made only to be thrown away
        "vision_config": {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
        "audio_config": {
            **{"hidden_size": 16, "intermediate_size": 16, "num_blocks": 1, "num_attention_heads": 2},
            **{"ext_pw_out_channel": 16, "depthwise_separable_out_channel": 16, "nemo_conv_channels": 16},
        },
    },
    "qwen3_5_text": {"head_dim": 8, "layer_types": ["full_attention"] * 3},
    "qwen3_5_text-hybrid": {
        "head_dim": 8,
        "layer_types": ["full_attention", "linear_attention", "full_attention"],
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    },
    "seed_oss": {"head_dim": 8},
    "smollm3": {"no_rope_layers": [1, 1, 0]},
    "stablelm": {},
    "stablelm-parallel": {"use_parallel_residual": True},
    "starcoder2": {"sliding_window": 6},
    "vaultgemma": {"head_dim": 8, "sliding_window": 6},
}
# Layer 1 is a mixture in all of these.
MIXTURES = ("dots1", "ernie4_5_moe", "granitemoe", "mixtral", "olmoe", "phimoe", "qwen2_moe", "qwen3_moe")
DENSE = sorted(set(FAMILIES) - set(MIXTURES))


def make_model(family: str = "llama", dtype: torch.dtype = torch.float32, seed: int = 0) -> PreTrainedModel:
    """A model whose weights are large enough that its probabilities differ clearly from uniform ones."""
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(make_config(family)).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            scale = 0.1 if weight.ndim == 1 else 0.5 if "embed" in name or "wte" in name else 0.15
            weight.add_(scale * torch.randn_like(weight))
    torch.random.set_rng_state(state)
    if dtype == torch.float64:
        model.set_experts_implementation("eager")  # else the plain runs of the tests could not multiply experts
    return model.to(dtype).requires_grad_(False)


def make_config(family: str) -> PreTrainedConfig:
    """The configuration of an architecture of `CONFIGS` or `DERIVED`."""
    if family in CONFIGS:
        return CONFIGS[family]()
    return AutoConfig.for_model(family.partition("-")[0], **{**GQA, **DERIVED[family]})


def make_tokenizer(chat: bool = True) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with 300 tokens, special tokens 0 to 2, trained on a few sentences."""
    core = Tokenizer(models.BPE(unk_token=None))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(["the cat sat on the mat. Rewrite the text. Input: Output: answer the question"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
    if chat:
        tokenizer.chat_template = (
            "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>\n{% endfor %}"
            "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
        )
    return tokenizer
