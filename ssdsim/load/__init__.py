"""`python -m ssdsim.load`: latency against throughput as the rate of requests grows."""
