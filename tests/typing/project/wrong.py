"""Mistakes that a type checker must find, one in each line that ends in a comment."""

import trustpose as tp

tp.read_pose("results.json")  # no such name
tp.track(3)  # wrong type
tp.smooth("results.json", nose="trust")  # no such argument
tp.triangulate("cam1.json", 4)  # wrong type
tp.read_truth()  # missing argument
tp.Calibrator.load("mine.cal").aply("results.json")  # no such method
tp.audit("gt.json")  # missing argument
print(tp.read_poses("results.json").qualty)  # no such field
tp.draw("results.json", "photo.jpg", legend="no")  # wrong type
tp.train("recipe", "coco/", "model/", precision="fp8")  # no such value
