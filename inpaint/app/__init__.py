"""The page in a browser and its HTTP API, over what `inpaint fill` and `inpaint score` do.

requests.py and desk.py answer requests and know no gradio; page.py lays out the page, api.py names the endpoints,
server.py starts and ends it all.
"""
