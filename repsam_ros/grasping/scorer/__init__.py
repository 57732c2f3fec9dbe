"""The probability that a grasp succeeds, from the cloud round it, by a small network.

:mod:`crops` is what the network sees, :mod:`network` the network and its weights, :mod:`variants`
the changes of a grasp that it can choose among. It is trained by
:mod:`repsam_ros.trials.scorer` on grasps executed in simulated physics.
"""
