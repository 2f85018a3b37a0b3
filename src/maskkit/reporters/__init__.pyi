from ._base import Estimate as Estimate, Report as Report, Reporter as Reporter, Table as Table
from .console import ConsoleReporter as ConsoleReporter
from .html import HtmlReporter as HtmlReporter
from .json import JsonReporter as JsonReporter
from .mlflow import MlflowReporter as MlflowReporter
from .plots import PlotsReporter as PlotsReporter
from .tensorboard import TensorBoardReporter as TensorBoardReporter
