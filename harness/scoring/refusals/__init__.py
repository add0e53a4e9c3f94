"""Does a reply decline a request, do a part of it, or comply?"""
