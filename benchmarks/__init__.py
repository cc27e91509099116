"""Benchmarks of speed, memory and cost, each compared with an alternative.

make bench
.venv/bin/python -m benchmarks [SECTION…] [--json] [--records N]
"""
