"""No part of a password is shown."""

import traceback

import pytest
from hypothesis import given, strategies as st

from maskkit._text import hide_secrets
from maskkit.exceptions import ImageError
from tests.cli.conftest import run
from tests.conftest import fuzzing

SECRET = "Geheim"  # It occurs in no message by itself.

# Letters that are not allowed in a password unless they are percent-encoded, and are typed all the same.
passwords = st.builds(
    lambda before, after: before + SECRET + after, *[st.text("aZ0@/%:;?#&![] +~'\"\\äß,", max_size=6)] * 2
)


@pytest.mark.parametrize(
    "place",
    [
        "rtsp://user:{}@192.0.2.1:554/stream",
        "rtsps://user:{}@camera",
        "rtsp://:{}@camera/1",
        "rtsp://camera:554/1?password={}",
    ],
)
@given(passwords)
@fuzzing(60)
def test_password_of_a_camera_is_never_shown(place, password):
    assert SECRET not in hide_secrets(place.format(password))


@pytest.mark.parametrize(
    "place",
    [
        "http://user:{}@host/photo.jpg",
        "https://{}@host/photo.jpg",
        "ftp://user:{}@host:21/photos",
        "s3://{}:key@bucket/photo.jpg",
        "zip://*.jpg::https://user:{}@host/photos.zip",
        "rtsp://192.0.2.1:554/user=admin&password={}&channel=1&stream=0.sdp",
        "rtsp://192.0.2.1:554/user=admin_password={}_channel=1_stream=0.sdp",
        "http://host/video?channel=1&pwd={}",
        "http://host/video?PASSWORD={}&channel=1",
        "http://host/video;token={}",
        "https://host/photo.jpg?X-Amz-Credential={}&X-Amz-Signature={}",
        "https://host/photo.jpg?sv=2024&sig={}",
        "https://host/photo.jpg?api_key={}",
        "https://host/photo.jpg#access_token={}",
        "Authorization: Basic {}",
        "Cookie: {}",
        "{{'Proxy-Authorization': 'Bearer {}'}}",
        "{{'X-Api-Key': '{}'}}",
        "[Errno 111] Connection refused: 'rtsp://user:{}@camera/1'",
    ],
)
@pytest.mark.parametrize("password", [SECRET, f"{SECRET}%40", f"x@{SECRET}", f"{SECRET}@x", f"p{SECRET}+=="])
def test_secrets_are_never_shown(place, password):
    assert SECRET not in hide_secrets(place.format(password, password))


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://192.0.2.1:554/stream",
        "rtsp://[2001:db8::1]:554/stream",
        "http://host:8080/me@2x.jpg",
        "http://host/@home/a.jpg?width=640&channel=1",
        "s3://bucket/key=3/session=morning/a.jpg",
        "zip://a.jpg::https://host/photos.zip",
        "memory://photos/a.jpg",
        "photos/me@home.jpg: cannot be read",
    ],
)
def test_what_is_no_secret_is_kept(text):
    assert hide_secrets(text) == text


@pytest.mark.parametrize(
    "text", ["a" * 200_000, "://a:" * 2_000, "&a" * 20_000, "token=" * 20_000], ids=lambda text: text[:6]
)
def test_long_texts_do_not_take_the_square_of_their_length(text):
    assert len(hide_secrets(text)) <= len(text)


def test_password_of_a_url_given_as_a_photo_is_hidden(fitted, capsys):
    url = f"https://user:{SECRET}@host/photo.jpg"
    with pytest.raises(ImageError, match=r"https://host/photo\.jpg: is a URL") as error:
        fitted.predict_faces(url)
    assert SECRET not in "".join(traceback.format_exception(error.value))
    code, out, err = run(capsys, "predict", url)
    assert code == 1
    assert SECRET not in out + err
