"""What a study found: `findings.py` puts it together, `judgement.py` judges one criterion in one
category, `separation.py` says in a word how far configurations are told apart, and `sentences.py`
and `remarks.py` say it all in plain English."""
