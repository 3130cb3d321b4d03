"""Runtime: the queue of evaluations, and the executors that give it workers."""
