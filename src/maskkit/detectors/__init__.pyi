from ._base import Detector as Detector, Faces as Faces
from .centerface import CenterFaceDetector as CenterFaceDetector
from .dlib_cnn import DlibCnnDetector as DlibCnnDetector
from .dlib_hog import DlibHogDetector as DlibHogDetector
from .maskkit import MaskkitDetector as MaskkitDetector
from .whole import WholeImageDetector as WholeImageDetector
from .yunet import YuNetDetector as YuNetDetector
