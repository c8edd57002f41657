"""Each algorithm in the forms that its options give it, on layers of 12 inputs and 20 outputs."""

RANK = {"dim": 3, "alpha": 2}
INPUT_DORA = {"dora_wd": True}
OUTPUT_DORA = {"dora_wd": True, "wd_on_output": True}
PARTS = {"factor": 2, "dim": 2, "alpha": 1}  # the right block in two parts
FORMS: dict[str, list[dict]] = {
    "lora": [
        RANK,
        {**RANK, "use_tucker": True, "use_scalar": True},
        {**RANK, "rs_lora": True, **INPUT_DORA},
        {**RANK, **OUTPUT_DORA, "use_scalar": True},
    ],
    "loha": [
        RANK,
        {**RANK, "use_tucker": True, "rs_lora": True},
        {**RANK, "use_tucker": True, "use_scalar": True, **INPUT_DORA},
        {**RANK, **OUTPUT_DORA, "use_scalar": True},
    ],
    "lokr": [
        {"factor": 4},
        PARTS,
        {"factor": -1, "dim": 1, "alpha": 2, "decompose_both": True},
        {"factor": 4, "dim": 1, "full_matrix": True},
        {**PARTS, "use_tucker": True, "use_scalar": True, **INPUT_DORA},
        {"factor": 4, "unbalanced_factorization": True, "rs_lora": True, **OUTPUT_DORA},
        {**PARTS, "unbalanced_factorization": True, "decompose_both": True, "rs_lora": True},
        {"factor": 4, "use_scalar": True},
    ],
    "dylora": [{"dim": 4, "alpha": 2, "block_size": 2}],
    "glora": [RANK, {**RANK, "rs_lora": True, "use_scalar": True}],
    "ia3": [{}, {"train_on_input": True}],
    "diag-oft": [{"dim": 4}, {"dim": 5, "constraint": 0.05, "rescaled": True}],
    "boft": [{"dim": 10}, {"dim": 13, "constraint": 0.05, "rescaled": True}],
    "full": [{}],
}
