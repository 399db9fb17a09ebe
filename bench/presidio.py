#!/usr/bin/python3
"""What the pattern recognisers of Presidio hide of the sentences of presidio-research, for docs/masking.md.

usage: bench/presidio.py PRESIDIO <synth_dataset_v2.json

PRESIDIO is a checkout of its repository. Only recognisers of patterns, deny lists and checksums for English texts run, with
their own scores and a threshold of 0, which hides the most; no language model does, so names and places are not looked for.
Needs python3-regex, python3-phonenumbers, python3-tldextract and python3-yaml; Presidio's other dependencies belong to its
language models and settings, and are replaced by empty modules. Prints figures only, never a text.
"""
import importlib
import inspect
import json
import pkgutil
import sys
import time
import types

def empty(name, *names):
    module = types.ModuleType(name)
    for n in names:
        setattr(module, n, type(n, (), {}))
    sys.modules[name] = module
    return module


def load(folder):
    """The package without what its __init__ would load beside the recognisers."""
    package = types.ModuleType("presidio_analyzer")
    package.__path__ = [folder + "/presidio-analyzer/presidio_analyzer"]
    sys.modules["presidio_analyzer"] = package
    empty("presidio_analyzer.nlp_engine", "NlpArtifacts", "NlpEngine")
    for name, classes in [("analysis_explanation", ["AnalysisExplanation"]), ("recognizer_result", ["RecognizerResult"]),
                          ("entity_recognizer", ["EntityRecognizer"]), ("local_recognizer", ["LocalRecognizer"]),
                          ("pattern", ["Pattern"]), ("pattern_recognizer", ["PatternRecognizer"])]:
        module = importlib.import_module("presidio_analyzer." + name)
        for c in classes:
            setattr(package, c, getattr(module, c))
    for name in ["RemoteRecognizer", "LMRecognizer", "AnalyzerEngine"]:
        setattr(package, name, type(name, (), {}))
    root = types.ModuleType("presidio_analyzer.predefined_recognizers")
    root.__path__ = [package.__path__[0] + "/predefined_recognizers"]
    sys.modules[root.__name__] = root
    found, left = {}, []
    for info in pkgutil.walk_packages(root.__path__, root.__name__ + ".", onerror=lambda name: left.append(name)):
        try:
            module = importlib.import_module(info.name)
        except Exception:
            left.append(info.name)
            continue
        for name, c in inspect.getmembers(module, inspect.isclass):
            if issubclass(c, package.LocalRecognizer) and c.__module__.startswith(root.__name__) and not inspect.isabstract(c):
                found[name] = c
    recognizers = []
    for name, c in sorted(found.items()):
        try:
            r = c()
        except Exception:
            left.append(name)
            continue
        if r.supported_language == "en" and "SpaCy" not in r.name and "Spacy" not in name:
            recognizers.append(r)
    return recognizers, sorted(set(l.split(".")[-1] for l in left))


def main():
    recognizers, left = load(sys.argv[1])
    rows = json.load(sys.stdin)
    whole, parts, of = {}, {}, {}
    hidden_outside = outside = 0
    seconds = 0.0
    for row in rows:
        text = row["full_text"]
        hidden = bytearray(len(text))
        start = time.process_time()
        for r in recognizers:
            for f in r.analyze(text, r.supported_entities, None) or []:
                hidden[f.start:f.end] = b"\1" * (f.end - f.start)
        seconds += time.process_time() - start
        private = bytearray(len(text))
        for s in row["spans"]:
            a, b, t = s["start_position"], s["end_position"], s["entity_type"]
            private[a:b] = b"\1" * (b - a)
            of[t] = of.get(t, 0) + 1
            whole[t] = whole.get(t, 0) + all(hidden[a:b])
        outside += sum(1 for i, c in enumerate(text) if not private[i] and not c.isspace())
        hidden_outside += sum(1 for i, c in enumerate(text) if hidden[i] and not private[i] and not c.isspace())
    print(f"{len(recognizers)} recognisers; without {', '.join(left)}")
    for t in sorted(of):
        print(f"{t:20} {of[t]:5} spans, {100 * whole[t] / of[t]:5.1f} % hidden whole")
    print(f"hidden for nothing: {100 * hidden_outside / outside:.1f} % of the characters outside; "
          f"{1e6 * seconds / len(rows):.0f} us a sentence")


main()
