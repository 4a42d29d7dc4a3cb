"""Markers and imports of fixtures only."""

pytest_plugins = [
    "tests.fixtures.grouping",
    "tests.fixtures.ray_cluster",
    "tests.fixtures.api",
    "tests.fixtures.events",
    "tests.fixtures.storage",
    "tests.fixtures.stripe",
    "tests.fixtures.jobs",
    "tests.fixtures.desk",
    "tests.fixtures.postgres",
    "tests.fixtures.money",
    "tests.fixtures.object_http",
    "tests.fixtures.onnx_models",
    "tests.fixtures.orders",
    "tests.fixtures.ray_head",
    "tests.fixtures.lying",
    "tests.fixtures.gate",
    "tests.fixtures.elsewhere",
    "tests.fixtures.boundary",
    "tests.fixtures.trivial_fabric",
    "tests.fixtures.certificates",
    "tests.fixtures.fabric",  # each after those it builds on
    "tests.fixtures.agents",
    "tests.fixtures.dispatcher",
    "tests.fixtures.healing",
]
