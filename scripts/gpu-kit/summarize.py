#!/usr/bin/env python3
"""Summarizes the results of run.sh in at most 80 lines: python3 summarize.py OUTPUT_FOLDER. Needs only Python 3.8."""

import glob
import json
import os
import sys

MAX_LINES = 80
MAX_LETTERS = 160

# Passed, then the others, worst first.
VERDICTS = {
    "passed": "passed",
    "FAILED": "failed",
    "TIMEOUT": "took too long",
    "UNTRIED": "untried",
    "skipped": "skipped",
}

# Estimates of `npx tsx scripts/launch-plan.ts` for RND1-30B in bf16, one canvas of 256, made before any of it had run on a
# GPU: microseconds per launch on an H100. An H200 has more bandwidth, which only the experts can use.
EXPECTED = {
    "experts (gate, up)": 270,
    "experts (down)": 136,
    "experts (combine), addRmsNorm": 7.6,
    "matmul 5120 x 2048": 11.2,
    "matmul 2048 x 4096": 10.8,
    "route (logits)": 3,
    "route (select)": 3.6,
    "route (group)": 4.2,
    "addRmsNorm": 4.6,
    "normRope": 4.7,
    "attention": 10.7,
    "score (greedy)": 264,
}
EXPECTED_H200 = {"experts (gate, up)": 189, "experts (down)": 95.5}
EXPECTED_STEP = {
    "bf16": {"H100": 22.7e-3, "H200": 16.9e-3},
    "q8": {"H100": 13.6e-3, "H200": 11.0e-3},
    "q5": {"H100": 11.0e-3, "H200": 11.0e-3},
    "q4": {"H100": 9.2e-3, "H200": 9.2e-3},
    "fp8": {"H100": 13.2e-3, "H200": 10.7e-3},
}
# Deviations beyond this share are marked, if they also exceed the time of a launch's own event, in microseconds.
MARGIN = 0.25
EVENT = 2
# Launches with a smaller share of a step are printed as one sum.
SMALL_SHARE = 0.01
# Variants of steps: what can be switched off.
SWITCHES = {"step-early-launches": "early launches", "step-clusters": "clusters"}
# A step should take at most this many times as long as a copy of its bytes.
GOALS = {"bf16": 1.2, "q8": 1.5, "q5": 1.5, "q4": 1.5, "fp8": 1.5}


def lines_of(folder, name, *keys):
    """The JSON lines of a file that have a shape and these keys; incomplete lines of killed programs are skipped."""
    found = []
    for text in read(folder, name).splitlines():
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict) and isinstance(line.get("shape", {}), dict) and all(key in line for key in keys):
            found.append(line)
    return found


def read(folder, name):
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def time(seconds):
    for factor, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= factor or unit == "µs":
            return f"{seconds / factor:.3g} {unit}"


def percent(share):
    return f"{100 * share:.0f} %"


class Summary:
    def __init__(self, folder):
        self.folder = folder
        self.lines = []

    def say(self, line=""):
        """Adds a line, without control characters that logs may contain."""
        self.lines.append("".join(letter if letter.isprintable() else " " for letter in line)[:MAX_LETTERS])

    def results(self):
        """The last result of each name in every stage."""
        found = {}
        for line in read(self.folder, "results.tsv").splitlines():
            parts = (line + "\t" * 5).split("\t")[:6]
            if parts[2] in VERDICTS:
                found[parts[0], parts[1]] = parts
        return list(found.values())

    def machine(self):
        self.say(" · ".join(read(self.folder, "kit").splitlines()))
        gpu = " ".join(read(self.folder, "logs/nvidia-smi").splitlines()[:1])
        peaks = lines_of(self.folder, "bench-peaks.jsonl", "copyBytesPerSecond", "matrixOperationsPerSecond")
        if peaks:
            line = peaks[-1]
            self.say(
                f"{gpu or line['instructionSet']}: copy {line['copyBytesPerSecond'] / 1e9:.0f} GB/s, "
                f"mma {line['matrixOperationsPerSecond'] / 1e12:.3g} TFLOP/s"
                + (f", cuBLAS {self.cublas() / 1e12:.3g} TFLOP/s" if self.cublas() else "")
            )
        elif gpu:
            self.say(gpu)

    def verdicts(self):
        results = self.results()
        for stage in sorted({result[0] for result in results}, key=[r[0] for r in results].index):
            of = [result for result in results if result[0] == stage]
            counts = {verdict: sum(r[2] == verdict for r in of) for verdict in VERDICTS}
            told = [f"{n} {VERDICTS[verdict]}" for verdict, n in counts.items() if n > 0 or verdict in ("passed", "FAILED")]
            self.say(f"{stage}: {', '.join(told)}, {sum(int(r[3]) for r in of if r[3].isdigit())} s")
        unwell = [result for result in results if result[2] != "passed"]
        unwell.sort(key=lambda result: list(VERDICTS).index(result[2]))
        for stage, name, verdict, _, reason, log in unwell[:10]:
            self.say(f"  {verdict} {stage}: {name} ({reason})"[:120])
            if verdict == "FAILED":
                self.say(f"    {self.first_message(log)}"[:120])
        if len(unwell) > 10:
            self.say(f"  … {len(unwell) - 10} more in results.tsv")
        files = [line.split("\t") for line in read(self.folder, "node/results.tsv").splitlines()]
        for name, verdict, *_ in [file for file in files if len(file) > 1 and file[1] != "passed"][:5]:
            self.say(f"  {verdict} node: {name}, see node/{name}.log")
        if read(self.folder, "logs/ncu"):
            self.say("  the report of Nsight Compute is in logs/ncu")

    def first_message(self, log):
        for path in (log, f"{log}.err"):
            for line in read(self.folder, path).splitlines() if log else []:
                if line.strip() and not line.startswith("{"):
                    return line.strip()
        return "no message in the log"

    def cublas(self):
        """The rate of torch's largest matmul: on Hopper more than mma.sync reaches."""
        lines = lines_of(self.folder, "torch-peaks.jsonl", "case", "seconds")
        found = [line["seconds"] for line in lines if line["case"] == "matmul 8192" and line["seconds"] > 0]
        return 2 * 8192**3 / found[-1] if found else 0

    def steps(self):
        keys = ("case", "seconds", "bytes", "operations", "copyBytesPerSecond", "weights")
        names = ["bench-step.jsonl"] + [f"bench-step-{weights}.jsonl" for weights in ("q8", "q5", "q4", "fp8")]
        steps = [line for name in names for line in lines_of(self.folder, name, *keys)]
        if not steps:
            return
        self.say()
        self.say("whole steps     weights       time   must read   of copy   TFLOP/s   experts hit   times the copy   goal")
        for line in steps:
            copy = line["bytes"] / line["copyBytesPerSecond"]
            goal = GOALS.get(line["weights"], 1.5)
            self.say(
                f"{line['case']:>9} {line['weights']:>13} {time(line['seconds']):>10} {line['bytes'] / 1e9:>8.2f} GB "
                f"{percent(copy / line['seconds']):>9} {line['operations'] / line['seconds'] / 1e12:>9.3g} "
                f"{line['shape']['expertsHit']:>13} {line['seconds'] / copy:>16.2f} {goal:>6}"
                + (" << over goal" if line["seconds"] / copy > goal else "")
            )
        for line in steps:
            for name, seconds in EXPECTED_STEP.get(line["weights"], {}).items():
                if name in line["instructionSet"] and line["case"] == "1 x 256" and line["shape"]["layers"] == 48:
                    self.say(
                        f"expected 1 x 256, {line['weights']}, on an {name}: {time(seconds)}"
                        + self.mark(line["seconds"], seconds)
                    )

    @staticmethod
    def mark(measured, expected, uncertain=0):
        if expected / (1 + MARGIN) <= measured + uncertain and measured - uncertain <= expected * (1 + MARGIN):
            return ""
        return f"  << {measured / expected:.2f} x the estimate"

    def launches(self):
        lines = lines_of(self.folder, "bench-step.jsonl", "case", "name", "launches", "seconds")
        if not lines:
            return
        case = "1 x 256" if any(line["case"] == "1 x 256" for line in lines) else lines[0]["case"]
        lines = [line for line in lines if line["case"] == case]
        total = sum(line["seconds"] for line in lines)
        expected = dict(EXPECTED, **(EXPECTED_H200 if "H200" in lines[0]["instructionSet"] else {}))
        self.say()
        self.say(f"launches of a step, {case}    number     each   share   expected")
        small = 0
        for line in sorted(lines, key=lambda line: -line["seconds"]):
            each = line["seconds"] / line["launches"]
            if line["seconds"] < SMALL_SHARE * total and line["name"] not in expected:
                small += line["seconds"]
                continue
            said = expected.get(line["name"]) if line["shape"]["layers"] == 48 else None
            self.say(
                f"  {line['name']:<24} {line['launches']:>8} {time(each):>9} {percent(line['seconds'] / total):>6}"
                + (f" {said:>7} µs{self.mark(each * 1e6, said, EVENT)}" if said else "")
            )
        self.say(f"  others {time(small)}; together {time(total)}, one by one and not as a graph")

    def ops(self):
        rows = [256, 8192]
        said = False
        for op in ("experts", "matmul", "attention", "route", "norms", "score"):
            lines = lines_of(self.folder, f"bench-{op}.jsonl", "case", "seconds", "bytes", "operations", "copyBytesPerSecond")
            peers = lines_of(self.folder, f"torch-{op}.jsonl", "case", "name", "seconds")
            sizes = {self.rows_of(line) for line in lines}
            chosen = [size for size in rows if size in sizes] or sorted(sizes)[:1]
            for line in lines:
                if self.rows_of(line) not in chosen:
                    continue
                if not said:
                    self.say()
                    self.say("op                             rows      time  of copy  of mma  of cuBLAS  best of torch")
                    said = True
                self.say(self.op(op, line, peers))

    @staticmethod
    def rows_of(line):
        return line["shape"].get("rows", line["shape"].get("length"))

    def op(self, op, line, peers):
        rate = line["operations"] / line["seconds"]
        products = op in ("experts", "matmul", "attention", "score") and line["operations"] > 0
        copy = line["bytes"] / line["copyBytesPerSecond"] / line["seconds"]
        mma = percent(rate / line["matrixOperationsPerSecond"]) if products else "–"
        cublas = percent(rate / self.cublas()) if products and self.cublas() else "–"
        same = [
            peer
            for peer in peers
            if peer.get("case") == line["case"]
            and all(line["shape"].get(key, value) == value for key, value in peer.get("shape", {}).items())
        ]
        best = min(same, key=lambda peer: peer["seconds"], default=None)
        beside = f"{best['seconds'] / line['seconds']:.2f} x ({best['name']})" if best else "–"
        return (
            f"{op + ' ' + line['case']:<31} {self.rows_of(line):>5} {time(line['seconds']):>9} {percent(copy):>8} "
            f"{mma:>7} {cublas:>10}  {beside}"
        )

    def switches(self):
        for variant, name in SWITCHES.items():
            times = {}
            for path in sorted(glob.glob(os.path.join(self.folder, f"variant-{variant}-*.jsonl"))):
                value = path.rsplit("-", 2)[1]
                for line in lines_of(self.folder, os.path.basename(path), "case", "seconds"):
                    times[value] = min(times.get(value, line["seconds"]), line["seconds"])
            if len(times) == 2:
                self.say()
                self.say(f"a step with {name}: {time(times['1'])}, without: {time(times['0'])}")

    def variants(self):
        """The better round of each, by rows."""
        self.switches()
        found = {}
        for path in sorted(glob.glob(os.path.join(self.folder, "variant-*.jsonl"))):
            name = os.path.basename(path)[len("variant-") : -len(".jsonl")].rsplit("-", 1)[0]
            family, value = name.rsplit("-", 1)
            if family in SWITCHES:
                continue
            for line in lines_of(self.folder, os.path.basename(path), "case", "seconds"):
                times = found.setdefault((family, line["case"]), {}).setdefault(self.rows_of(line), {})
                times[value] = min(times.get(value, line["seconds"]), line["seconds"])
        if not found:
            return
        self.say()
        self.say("thresholds between tile sizes, by rows: time above the threshold, time below it")
        for (family, case), rows in found.items():
            shown = [
                f"{count}: {time(times['1'])} {'<' if times['1'] < times['100000'] else '>'} {time(times['100000'])}"
                for count, times in sorted(rows.items())
                if len(times) == 2
            ]
            self.say(f"  {family}, {case}: {', '.join(shown)}"[:160])

    def print(self):
        # The most important parts come first, since the last lines may be cut.
        for part in (self.machine, self.verdicts, self.steps, self.launches, self.variants, self.ops):
            try:
                part()
            except Exception as error:  # pylint: disable=broad-except
                # A part that fails must not hide the others.
                self.say(f"{part.__name__} cannot be summarized: {type(error).__name__} {error}")
        if not any(self.lines):
            self.lines = [f"there are no results in {self.folder}"]
        if len(self.lines) > MAX_LINES:
            left = len(self.lines) - MAX_LINES + 1
            self.lines = self.lines[: MAX_LINES - 1] + [f"… {left} more lines: all figures are in *.jsonl"]
        print("\n".join(self.lines))


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    if len(sys.argv) != 2 or not os.path.isdir(sys.argv[1]):
        sys.exit("summarize.py: give one argument, the output folder of run.sh")
    Summary(sys.argv[1]).print()
