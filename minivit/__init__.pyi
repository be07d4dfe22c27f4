"""The public names, for editors and type checkers: the table in __init__.py, and the sections."""

from . import attention as attention
from . import attention_pooling as attention_pooling
from . import cls_token as cls_token
from . import distillation as distillation
from . import gelu as gelu
from . import head as head
from . import layer as layer
from . import layer_norm as layer_norm
from . import layer_scale as layer_scale
from . import linear as linear
from . import loss as loss
from . import mlp as mlp
from . import normed_head as normed_head
from . import patch_embedding as patch_embedding
from . import position_embedding as position_embedding
from . import samples as samples
from . import softmax as softmax
from . import swiglu as swiglu
from . import vit as vit
from .checking.comparison import compare as compare
from .checking.exercises import check as check
from .checking.gradient_checking import gradient_check as gradient_check
from .checkpoints.loading import load as load
from .checkpoints.native import save as save
from .checkpoints.timm import state_dict as state_dict
from .config import ViTConfig as ViTConfig
from .counting import macs as macs
from .counting import parameter_count as parameter_count
from .engine.devices import to_device as to_device
from .errors import CheckpointError as CheckpointError
from .errors import ImageError as ImageError
from .explorer.serving import explore as explore
from .images.preparation import Preprocessing as Preprocessing
from .many.embedding import embed as embed
from .model import VisionTransformer as VisionTransformer
from .prediction import Gradients as Gradients
from .prediction import Prediction as Prediction
from .prediction import backward as backward
from .prediction import forward as forward
from .training.initial_weights import init as init
from .variants import VARIANTS as VARIANTS

__version__: str
