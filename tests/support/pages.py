"""Pages as they are without their scripts."""

import re


def without_scripts(html: str) -> str:
    """What the page itself says: a library's own text is none of its words. That scripts ask for
    nothing is what tests/analysis/test_explorer_browser.py sees in a browser.

    >>> without_scripts('<p>a</p><script type="x">https://b</script><script>half</script>')
    '<p>a</p>'
    """
    return re.sub(r"(?s)<script\b[^>]*>.*?</script>", "", html)
