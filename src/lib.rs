//! Renders headless through EGL, encodes H.264 and writes it where go2rtc reads it.
