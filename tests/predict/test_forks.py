"""Loaded networks in forked processes: opened anew by themselves, or refused in one line; never waiting for ever."""

import multiprocessing
import os
import threading

import cv2
import numpy as np
import pytest

from tests.tiny_onnx import write_network
from trustpose.predict.load import load
from trustpose.threads import PerProcess

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def _in_a_fork(call):
    """What `call` gives in a forked process, which is killed after 30 s."""
    context = multiprocessing.get_context("fork")
    given, taken = context.Pipe(duplex=False)
    child = context.Process(target=lambda: taken.send(call()))
    child.start()
    try:
        assert given.poll(30), "the forked process hangs"
        return given.recv()
    finally:
        child.kill()
        child.join()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_loaded_predictor_works_in_a_fork(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    boxes = np.tile([[10.0, 10, 90, 110]], (20, 1)) + np.arange(20)[:, None]
    predictor = load(write_network(tmp_path), threads=2)
    poses, few = predictor(image, boxes), predictor(image, boxes[:1])  # the threads' own sessions, and the shared one
    there, few_there = _in_a_fork(lambda: (predictor(image, boxes).xy, predictor(image, boxes[:1]).xy))
    np.testing.assert_array_equal(there, poses.xy)
    np.testing.assert_array_equal(few_there, few.xy)


def test_made_once_in_each_process():
    per_process = PerProcess(lambda: [os.getpid()])
    assert per_process() is per_process() and per_process() == [os.getpid()]
    assert _in_a_fork(per_process) != [os.getpid()]


def test_opencv_has_one_thread_in_a_fork_and_its_own_again_in_the_parent():
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        assert _in_a_fork(cv2.getNumThreads) == 1
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)


def test_threads_stay_from_call_to_call(tmp_path):
    image = np.zeros((120, 160, 3), np.uint8)
    predictor = load(write_network(tmp_path), threads=2)
    predictor(image, [[10.0, 10, 90, 110]])
    first = {thread for thread in threading.enumerate() if thread.name.startswith("trustpose-")}
    predictor(image, [[10.0, 10, 90, 110]])
    assert first and all(thread.is_alive() for thread in first)
