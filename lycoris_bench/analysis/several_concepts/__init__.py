"""Several concepts (paper 4.1): what a concept loses in a model that is taught others too
(interference), and what merging concepts that were taught apart costs against teaching them
together. `relations.py` says who is compared with whom, `differences.py` by how much,
`sentences.py` says it in plain English, `pairs.py` which of two concepts in a prompt is missing."""
