"""The vLLM kit: facts -> plan -> args -> units -> check. Offline; needs neither vLLM nor a GPU to plan.

``python -m infra.vllm plan | args | units | serve | doctor | top``, the same as ``docmind plan`` and so on.
"""
