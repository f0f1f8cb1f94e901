#!/usr/bin/env python3
"""Write a tiny random-weight Qwen3 model that a real vLLM server can load.

The weights mean nothing; what is real is everything around them: tokenizer,
chat template with tools, tool-call parsing, structured output, token counts,
context limits, prefix caching, metrics. Needs torch, transformers, tokenizers.

usage: make_tiny_model.py OUT_DIR [--max-positions 40960] [--seed 0]
"""

import argparse
import sysconfig
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

VOCAB = 4096
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARKUP = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]

# ChatML; tools are listed once in the system turn, calls and results travel in
# the tags that vLLM's `hermes` tool parser reads.
TEMPLATE = """\
{%- macro turn(role, text) -%}<|im_start|>{{ role }}\n{{ text }}<|im_end|>\n{%- endmacro -%}
{%- set ns = namespace(system='') -%}
{%- if messages and messages[0].role == 'system' -%}{%- set ns.system = messages[0].content -%}{%- endif -%}
{%- if tools -%}
{%- set ns.system = ns.system ~ '\nTools, one JSON object a line:' -%}
{%- for tool in tools -%}{%- set ns.system = ns.system ~ '\n' ~ (tool | tojson) -%}{%- endfor -%}
{%- set ns.system = ns.system ~ '\nCall one as <tool_call>{"name": ..., "arguments": {...}}</tool_call>.' -%}
{%- endif -%}
{%- if ns.system -%}{{ turn('system', ns.system) }}{%- endif -%}
{%- for m in messages -%}
{%- if m.role == 'system' and loop.first -%}
{%- elif m.role == 'tool' -%}{{ turn('user', '<tool_response>' ~ m.content ~ '</tool_response>') }}
{%- elif m.role == 'assistant' and m.tool_calls -%}
{%- set ns.calls = m.content or '' -%}
{%- for c in m.tool_calls -%}
{%- set f = c.function or c -%}
{%- set args = f.arguments if f.arguments is string else (f.arguments | tojson) -%}
{%- set ns.calls = ns.calls ~ '<tool_call>{"name": "' ~ f.name ~ '", "arguments": ' ~ args ~ '}</tool_call>' -%}
{%- endfor -%}{{ turn('assistant', ns.calls) }}
{%- else -%}{{ turn(m.role, m.content) }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant\n{%- endif -%}
"""


def sample_text() -> list[str]:
    """Text to train the tokenizer on: this Python's own standard library."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    return [f.read_text(encoding="utf-8", errors="replace") for f in files]


def build_tokenizer(max_positions: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE and wrap it with the chat template."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        sample_text(),
        trainers.BpeTrainer(
            vocab_size=VOCAB - len(CONTROL) - len(MARKUP),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    bpe.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in CONTROL])
    bpe.add_tokens([AddedToken(t, special=False, normalized=False) for t in MARKUP])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=max_positions,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = TEMPLATE
    return fast


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--max-positions", type=int, default=40960)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer(args.max_positions)
    tokenizer.save_pretrained(args.out)

    torch.manual_seed(args.seed)
    config = Qwen3Config(
        vocab_size=VOCAB,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=args.max_positions,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
        bos_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        pad_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"),
    )
    Qwen3ForCausalLM(config).to(torch.bfloat16).save_pretrained(args.out)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
