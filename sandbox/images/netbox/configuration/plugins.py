"""Plugins that NetBox loads; their packages must be in the image.

    PLUGINS = ["netbox_bgp"]
    PLUGINS_CONFIG = {"netbox_bgp": {}}
"""
