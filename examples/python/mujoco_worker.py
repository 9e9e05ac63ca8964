"""A MuJoCo scene as a stream: a pendulum of two arms, drawn through EGL only while somebody watches.

    python3 examples/python/mujoco_worker.py temp/frames/omega-0.y4m

beside `mb-encode --fifo temp/streams/omega-0.h264 --input temp/frames/omega-0.y4m`. Needs mujoco.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

os.environ.setdefault("MUJOCO_GL", "egl")  # is read by the import
import mujoco
from mb_frames import Frames

SCENE = """
<mujoco>
  <option timestep="0.002" integrator="implicitfast"/>
  <visual><global offwidth="640" offheight="480"/></visual>
  <asset>
    <texture type="skybox" builtin="flat" rgb1="0.2 0.4 0.8" rgb2="0.2 0.4 0.8" width="32" height="32"/>
  </asset>
  <worldbody>
    <light pos="0 -3 3" dir="0 1 -0.7" directional="true"/>
    <camera name="front" pos="0 -3.2 0" xyaxes="1 0 0 0 0 1"/>
    <body>
      <joint name="shoulder" axis="0 1 0" damping="0.002"/>
      <geom type="capsule" fromto="0 0 0 0 0 -0.6" size="0.05" rgba="0.9 0.2 0.1 1"/>
      <body pos="0 0 -0.6">
        <joint name="elbow" axis="0 1 0" damping="0.002"/>
        <geom type="capsule" fromto="0 0 0 0 0 -0.5" size="0.04" rgba="0.9 0.8 0.1 1"/>
      </body>
    </body>
  </worldbody>
</mujoco>
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fifo", help="where mb-encode reads its frames")
    parser.add_argument("--steps", type=int, help="end after so many steps of 2 ms [default: never]")
    options = parser.parse_args()

    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    data.joint("shoulder").qpos = 2.5
    steps = rendered = 0
    began = reported = time.monotonic()
    with mujoco.Renderer(model, 480, 640) as renderer, Frames(options.fifo, 640, 480, 30) as out:
        while options.steps is None or steps < options.steps:
            mujoco.mj_step(model, data)
            steps += 1
            if out.wanted():
                renderer.update_scene(data, camera="front")
                out.write(renderer.render())
                rendered += 1
            now = time.monotonic()
            # Whoever watches sees it in real time.
            time.sleep(max(0, began + steps * model.opt.timestep - now))
            if now >= reported + 1:
                reported = now
                report(steps / (now - began), rendered)
    report(steps / (time.monotonic() - began), rendered)


def report(steps_per_second: float, rendered: int) -> None:
    print(f"{steps_per_second:.0f} steps/s, {rendered} frames rendered", file=sys.stderr, flush=True)


main()
