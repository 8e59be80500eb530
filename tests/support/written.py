"""Files of lines and of JSON lines."""

import json


def lines(path, texts):
    path.write_text("\n".join(texts) + "\n")
    return [path]


def json_lines(path, records):
    return lines(path, map(json.dumps, records))
