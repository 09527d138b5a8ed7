#!/usr/bin/env bash
# Makes the images of README and docs/predict.md from the embedded sample. Run it in the
# checkout, on an idle machine: the image of the report shows times. Needs Debian's chromium.
set -euo pipefail
cd "$(dirname "$0")/.."

images=docs/images
sample=datasets/sample/images
hpbench predict $sample/sample_064.jpg --methods hopenet,pnp --out $images/axes.png
hpbench predict $sample/sample_117.jpg --methods hopenet,pnp --draw cube --out $images/cube.png

run="$(mktemp -d)/readme"
hpbench run --methods hopenet,pnp --fresh --out "$run"
python tools/report_picture.py "$run/report.html" $images/report.png
