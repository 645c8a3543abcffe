"""Runs Sydent as its package has it; with `v1` as an argument, without today's API, as before there was one."""

import sys

from sydent.config import SydentConfig
from sydent.sydent import Sydent, get_config_file_path, setup_logging

config = SydentConfig()
config.parse_config_file(get_config_file_path())
setup_logging(config)
server = Sydent(config)
if "v1" in sys.argv[1:]:
    root = server.clientApiHttpServer.factory.resource
    root.children[b"_matrix"].children[b"identity"].delEntity(b"v2")
server.run()
